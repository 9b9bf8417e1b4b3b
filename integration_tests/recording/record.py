"""Records a run of source-cart in a terminal and draws it as an animated SVG. Started by run.sh.

A shell on a pseudo-terminal is typed into; what it and the commands print goes through a terminal emulator (pyte),
whose screens become the pictures of the animation, each shown for as long as it really stood, up to a second.
"""

import argparse
import json
import os
import pty
import select
import signal
import struct
import subprocess
import tempfile
import termios
import fcntl
import time
from pathlib import Path
from xml.sax.saxutils import escape

import pyte

COLUMNS, LINES = 118, 26
# A terminal is looked at this often, in seconds: more would make the picture large, less would make it jump.
STEP = 0.2
# Maximum time for an unchanged picture, and the time for the last one.
STILL, LAST = 1.0, 5.0
# The end is shown first, for this long, so that a page that has just opened is not blank.
FIRST = 2.0
CHARACTER, LINE = 8.4, 18
COLOURS = {
    "default": "#d7dae0", "black": "#6b7280", "red": "#f07178", "green": "#9ccf6f", "brown": "#e6c07b",
    "yellow": "#e6c07b", "blue": "#6cb2f0", "magenta": "#c594e8", "cyan": "#63c5cf", "white": "#d7dae0",
}
COMMANDS = [
    "source-cart check",
    "source-cart read --streams orders,order_items,customers,products \\\r"
    "  --format jsonl --output data --state state.json --state-out state.json",
    "ls -sh data",
    "# meanwhile some rows change in the store; the same line again brings them",
    "source-cart read --streams orders,order_items,customers,products \\\r"
    "  --format jsonl --output data --state state.json --state-out state.json",
]


def record(folder, environment, change):
    """Returns the pictures and the duration of each."""
    screen = pyte.Screen(COLUMNS, LINES)
    stream = pyte.ByteStream(screen)
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(folder)
        os.execvpe("bash", ["bash", "--norc", "--noprofile", "-i"], environment)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    pictures = []

    def look():
        now, picture = time.monotonic(), drawn(screen)
        if not pictures or pictures[-1][1] != picture:
            pictures.append((now, picture))

    def listen(until, seconds):
        """Collects the output until the prompt is back, or for some seconds."""
        end, due = time.monotonic() + seconds, 0.0
        while time.monotonic() < end:
            if select.select([terminal], [], [], 0.02)[0]:
                stream.feed(os.read(terminal, 65536))
            if time.monotonic() >= due:
                look()
                due = time.monotonic() + STEP
            line = screen.display[screen.cursor.y].rstrip()
            if until and line == "$" and not select.select([terminal], [], [], 0.1)[0]:
                break
        look()

    listen(True, 5)
    for command in COMMANDS:
        if command.startswith("#"):
            change()
        for key in command:
            os.write(terminal, key.encode())
            time.sleep(0.004)
            if key == "\r":
                listen(False, 0.1)
        listen(False, 0.3)
        os.write(terminal, b"\r")
        time.sleep(0.1)
        listen(True, 120)
        listen(False, 0.8)
    os.write(terminal, b"exit\r")
    os.kill(pid, signal.SIGHUP)
    os.waitpid(pid, 0)
    moments = [moment for moment, _ in pictures] + [time.monotonic()]
    return [(picture, min(moments[at + 1] - moment, STILL)) for at, (moment, picture) in enumerate(pictures)]


def drawn(screen):
    """Returns the screen: for each line the parts of one colour, as (column, text, colour, bold)."""
    lines = []
    for row in range(LINES):
        runs = []
        for column in range(COLUMNS):
            cell = screen.buffer[row][column]
            look = (cell.fg, cell.bold)
            if runs and runs[-1][2:] == look:
                runs[-1] = (runs[-1][0], runs[-1][1] + cell.data, *look)
            else:
                runs.append((column, cell.data, *look))
        lines.append(tuple((column, text.rstrip(), fg, bold) for column, text, fg, bold in runs if text.strip()))
    return tuple(lines)


def colour(name):
    return COLOURS.get(name.removeprefix("bright"), "#" + name if len(name) == 6 else COLOURS["default"])


def svg(pictures):
    width, height = COLUMNS * CHARACTER + 32, LINES * LINE + 62
    pictures[-1] = (pictures[-1][0], LAST)
    whole = FIRST + sum(seconds for _, seconds in pictures)
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" width="{width:.0f}" height="{height}" '
        'role="img" aria-label="A terminal: the configuration is checked, streams are read with a progress line each, '
        'and a second read returns what has changed">',
        f"<style>text{{font:14px ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;white-space:pre;fill:{COLOURS['default']}}}"
        f".f{{animation-duration:{whole:.2f}s;animation-iteration-count:infinite;animation-timing-function:step-end}}"
        ".b{font-weight:bold}",
    ]
    begun, shown = FIRST, []
    for at, (picture, seconds) in enumerate(pictures):
        start, end, opened = begun / whole * 100, (begun + seconds) / whole * 100, FIRST / whole * 100
        is_last = at == len(pictures) - 1
        first = f"0%{{visibility:visible}}{opened:.3f}%{{visibility:hidden}}" if is_last else "0%{visibility:hidden}"
        last = "" if is_last else f"{end:.3f}%{{visibility:hidden}}"
        out.append(f"@keyframes k{at}{{{first}{start:.3f}%{{visibility:visible}}{last}}}#f{at}{{animation-name:k{at}}}")
        # Where nothing is animated, the end of the run is seen, and nothing else.
        hidden = "" if is_last else ' visibility="hidden"'
        shown.append(f'<g class="f" id="f{at}"{hidden}>{text_of(picture)}</g>')
        begun += seconds
    out.append("@media(prefers-reduced-motion){.f{animation:none}}</style>")
    out.append(f'<rect width="100%" height="100%" rx="10" fill="#1b1f27"/>')
    for at, dot in enumerate(("#f07178", "#e6c07b", "#9ccf6f")):
        out.append(f'<circle cx="{24 + at * 20}" cy="22" r="6" fill="{dot}"/>')
    return "\n".join(out + shown) + "\n</svg>\n"


def text_of(picture):
    parts = []
    for row, runs in enumerate(picture):
        for column, text, fg, bold in runs:
            indent = len(text) - len(text.lstrip())
            style = ('' if fg == "default" else f' fill="{colour(fg)}" style="fill:{colour(fg)}"') + (' class="b"' if bold else "")
            # The length is given, so that columns stand below each other in any font.
            shown = text.strip().replace(" ", "\u00a0")
            parts.append(
                f'<text x="{16 + (column + indent) * CHARACTER:.1f}" y="{54 + row * LINE}" '
                f'textLength="{len(shown) * CHARACTER:.1f}" lengthAdjust="spacingAndGlyphs"{style}>{escape(shown)}</text>'
            )
    return "".join(parts)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("source", "store", "out"):
        parser.add_argument(f"--{name}", required=True, type=Path)
    options = parser.parse_args()
    store = subprocess.Popen([options.store, "--orders", "30000"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def change():
        store.stdin.write("change\n")
        store.stdin.flush()
        store.stdout.readline()

    try:
        url = store.stdout.readline().split()[-1]
        with tempfile.TemporaryDirectory() as folder:
            while "good-token" not in store.stdout.readline():
                pass
            store.stdout.readline()
            credentials = {"auth_type": "SINGLE_STORE_ACCESS_TOKEN", "access_token": "good-token", "store_name": url}
            config = {"credentials": credentials, "start_date": "2000-01-01T00:00:00Z"}
            (Path(folder) / "config.json").write_text(json.dumps(config))
            environment = {
                "PATH": f"{options.source.resolve().parent}:{os.environ['PATH']}", "TERM": "xterm-256color", "PS1": "$ ",
                "PS2": "> ", "HOME": folder, "LANG": "C.UTF-8", "COLUMNS": str(COLUMNS), "LINES": str(LINES),
            }
            pictures = record(folder, environment, change)
    finally:
        store.kill()
        store.wait()
    options.out.write_text(svg(pictures))
    print(f"{options.out}: {len(pictures)} pictures, {options.out.stat().st_size // 1024} KiB")


if __name__ == "__main__":
    main()
