"""Runs every command of docs/quickstart.md unchanged, and compares the results of the queries with the store."""

import csv
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path

from compare import Verdict
from sample import TOKEN, listed

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "demo-out" / "quickstart"
MARK = "-- that was the block --"


def blocks() -> list:
    """Returns the code blocks of the page, in order: the text before each, its language, its content."""
    text = (ROOT / "docs" / "quickstart.md").read_text()
    return re.findall(r"^(?:<!-- ([^\n]+) -->\n)?```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


class Terminal:
    """A shell that ends at the first command that fails."""

    def __init__(self) -> None:
        # No proxy stands between this machine and itself.
        environment = {**os.environ, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
        self.shell = subprocess.Popen(
            ["bash", "-e"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, env=environment, text=True
        )

    def type(self, text: str) -> str:
        """Runs a block and returns its output."""
        self.shell.stdin.write(f"{text}\necho '{MARK}'\n")
        self.shell.stdin.flush()
        printed = []
        for line in self.shell.stdout:
            if line.strip() == MARK:
                return "".join(printed)
            printed.append(line)
        sys.exit(f"quickstart: a command failed in\n{text}\n{''.join(printed)}")


def main() -> int:
    # Ended from outside, it still ends what it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    verdict, started = Verdict("quickstart"), time.monotonic()
    shutil.rmtree(FOLDER, ignore_errors=True)
    second, first, url, printed, reads = Terminal(), None, None, [], 0

    def heard(wanted: str) -> str:
        for line in first.stderr:
            if wanted in line:
                return line
        sys.exit("quickstart: the first terminal ended early.")

    def compare(database: str, what: str) -> None:
        """Returns the result of orders.sql, and the number of rows of the tables."""
        rows = {name: listed(url, name, "id") for name in ("orders", "order_items")}
        for name, there in rows.items():
            output = second.type(f"duckdb {database} -csv -noheader -c 'SELECT count(*) FROM {name}'")
            verdict.same(f"{what}, rows of {name}", len(there), int(output))
        due = [
            (-rows["orders"][item["order_id"]]["grand_total"], item["order_id"], item["id"], Decimal(item["price"]))
            for item in rows["order_items"].values()
        ]
        due = [(order, price) for _, order, _, price in sorted(due)]
        output = second.type(f"duckdb {database} -csv -f ../../examples/duckdb/orders.sql")
        shown = [(int(row["order_id"]), Decimal(row["price"])) for row in csv.DictReader(io.StringIO(output))]
        verdict.same(f"{what}, the largest orders with their items", due[:20], shown)
        verdict.same(f"{what}, the table on the screen", True, str(shown[0][0]) in printed[-1])

    try:
        for note, language, text in blocks():
            if note == "first terminal":
                first = subprocess.Popen(
                    ["bash", "-c", text],
                    stdin=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    cwd=ROOT,
                    text=True,
                    start_new_session=True,
                )
                url = re.search(r"http://[^ ]+", heard("The store stays at"))[0]
            elif note.startswith("typed into"):
                first.stdin.write(text)
                first.stdin.flush()
                heard("orders")
                # The demo says what it changed after it has done so.
            elif note == "config.json":
                config = json.loads(text)
                config["credentials"]["store_name"] = url
                config["start_date"] = "2013-01-01T00:00:00Z"
                (FOLDER / "config.json").write_text(json.dumps(config))
            elif note == "typed: the token":
                command, rest = text.split("\n", 1)
                printed.append(second.type(f"{command}\n{TOKEN}\n{rest}"))
                compare("own.duckdb", "own store")
            else:
                printed.append(second.type(text))
                if " check " in text:
                    verdict.same("check", True, '"SUCCEEDED"' in printed[-1])
                if "orders.sql" in text:
                    if not reads:
                        print(f"quickstart: the first query answered after {time.monotonic() - started:.0f} s")
                    reads += 1
                    compare("store.duckdb", f"read {reads}")
        records = sum(json.loads(line)["type"] == "RECORD" for line in (FOLDER / "cart.jsonl").open())
        verdict.same("commands were run", (2, True), (reads, records > 0))
    finally:
        second.shell.kill()
        if first:
            os.killpg(first.pid, signal.SIGTERM)
            first.wait()
        shutil.rmtree(FOLDER, ignore_errors=True)
    print(f"quickstart took {time.monotonic() - started:.0f} s, with all that it built and installed")
    return verdict.close()


if __name__ == "__main__":
    sys.exit(main())
