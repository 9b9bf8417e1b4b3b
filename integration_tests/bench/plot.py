"""Draws docs/development/performance.svg from docs/development/performance.json: for each case one bar per competitor, by wall time.

The longest bar of a case fills the width; after each is the time, and its ratio to source-cart's. Started by
bench.py; alone: python3 integration_tests/bench/plot.py JSON SVG.
"""

import json
import sys
from html import escape
from pathlib import Path

TITLES = {
    "bulk": "100,000 rows in seven streams, 236 MB",
    "gzip": "the same, gzipped",
    "latency": "200 pages at 150 ms per response",
    "limited": "the same, 50 calls per 10 s",
    "shared": "seven streams, 20 calls per 10 s",
    "spec": "spec",
    "unchanged": "a sync that finds nothing new",
}
OURS = "source-cart"
CLASSES = {OURS: "ours", "curl": "floor"}
WIDTH, LEFT, RIGHT, BAR, GAP, HEAD = 820, 130, 170, 14, 4, 24

STYLE = """
  text { font: 12px system-ui, sans-serif; fill: #24292f }
  .title { font-weight: 600 }
  .ours { fill: #0969da } .floor { fill: #8c959f } .other { fill: #bf8700 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 }
    .ours { fill: #4493f8 } .floor { fill: #6e7681 } .other { fill: #d29922 }
  }
"""


def seconds(value):
    return f"{value * 1000:.1f} ms" if value < 0.1 else f"{value:.2f} s" if value < 10 else f"{value:.1f} s"


def draw(source, target):
    cases = json.loads(Path(source).read_text())["cases"]
    parts, y = [], 8
    for case, title in TITLES.items():
        figures = cases.get(case)
        if not figures or OURS not in figures:
            continue
        y += 16
        parts.append(f'<text class="title" x="8" y="{y}">{escape(title)}</text>')
        y += 8
        longest = max(figure["wall_s"] for figure in figures.values())
        for who, figure in figures.items():
            length = max(1.0, figure["wall_s"] / longest * (WIDTH - LEFT - RIGHT))
            # The median of the pairs, as in the tables.
            ratio = figure.get("wall_ratio")
            label = seconds(figure["wall_s"]) + (f" · {ratio:.2f} ×" if ratio and who != OURS else "")
            middle = y + BAR - 3
            parts.append(f'<text x="{LEFT - 6}" y="{middle}" text-anchor="end">{escape(who)}</text>')
            parts.append(
                f'<rect class="{CLASSES.get(who, "other")}" x="{LEFT}" y="{y}" width="{length:.1f}" height="{BAR}" rx="2"/>'
            )
            parts.append(f'<text x="{LEFT + length + 6:.1f}" y="{middle}">{label}</text>')
            y += BAR + GAP
        y += 6
    parts.append(f'<text x="8" y="{y + 12}">Wall time, medians; × is times that of source-cart. Each case has its own scale.</text>')
    height = y + HEAD
    Path(target).write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img" '
        f'aria-label="Wall time by case and competitor">\n<style>{STYLE}</style>\n' + "\n".join(parts) + "\n</svg>\n"
    )


if __name__ == "__main__":
    draw(*sys.argv[1:])
