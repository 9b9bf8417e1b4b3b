"""Helpers of the checks of all clients: a folder to run an example in, and a sequence of three reads."""

import argparse
import atexit
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from compare import Form, Verdict
from sample import TOKEN, Store, Truth, listed

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
# More than one page of 1,000 order items, so that the walk by key is at work as well.
ORDERS = 700
# More digits than a double holds. Given to a declared field, so that each client shows what it makes of them.
DIGITS = "1234567890123.4567"
# A text of digits: a client that guesses types makes 12345678905 of it.
ZEROS = ("gtin", "0012345678905")
# A field that no schema declares.
NOTE = ("warehouse_note", "fragile")


class Client:
    """One client: its folder with a config and the executable on the PATH, the store it reads, and the result."""

    def __init__(self, name: str, expand: tuple = (), deletes: bool = False) -> None:
        arguments = argparse.ArgumentParser(description=sys.modules["__main__"].__doc__.splitlines()[0])
        arguments.add_argument("--source", required=True, type=Path, help="the executable of source-cart")
        arguments.add_argument("--store", required=True, help="the executable of the example `store`")
        arguments.add_argument("--work", required=True, type=Path, help="an empty folder to work in")
        self.given = arguments.parse_args()
        self.name, self.verdict = name, Verdict(name)
        self.folder = self.given.work / name
        self.folder.mkdir(parents=True)
        self.store = Store(self.given.store, ORDERS)
        atexit.register(self.store.stop)
        self.config = {
            "credentials": {
                "auth_type": "SINGLE_STORE_ACCESS_TOKEN",
                "access_token": TOKEN,
                "store_name": self.store.url,
            },
            "start_date": "2013-01-01T00:00:00Z",
            **({"expand": list(expand)} if expand else {}),
            **({"detect_deletions": ["all"]} if deletes else {}),
        }
        self.deletes = deletes
        path = self.folder / "config.json"
        path.touch(mode=0o600)
        path.write_text(json.dumps(self.config))
        programs = self.folder / "bin"
        programs.mkdir()
        (programs / "source-cart").symlink_to(self.given.source.resolve())
        self.environment = {
            **os.environ,
            "PATH": f"{programs}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(self.folder),
            "TMPDIR": str(self.folder),
            # The store is on this machine; no report of use leaves it.
            "NO_PROXY": "127.0.0.1",
            "no_proxy": "127.0.0.1",
            "PYTHONWARNINGS": "ignore",
            "RUNTIME__DLTHUB_TELEMETRY": "false",
        }
        lines = subprocess.run(
            [self.given.source, "discover", "--config", path], check=True, capture_output=True, text=True
        ).stdout.splitlines()
        (catalog,) = [message["catalog"] for message in map(json.loads, lines) if message["type"] == "CATALOG"]
        self.streams = {stream["name"]: stream for stream in catalog["streams"]}

    def properties(self, name: str) -> dict:
        return self.streams[name]["json_schema"]["properties"]

    def key(self, name: str) -> str:
        return self.streams[name]["source_defined_primary_key"][0][0]

    def token_from_environment(self) -> None:
        """Removes the token from the config, as in the examples for servers."""
        credentials = {**self.config["credentials"], "access_token": "${CART_TOKEN}"}
        (self.folder / "config.json").write_text(json.dumps({**self.config, "credentials": credentials}))

    def count(self, command: str) -> int:
        """Returns the number of rows in the store of the streams in a command."""
        names = re.search(r"--streams[= ](\S+)", command)[1].split(",")
        return sum(len(listed(self.store.url, name, self.key(name))) for name in names)

    def copy(self, *names: str) -> None:
        """Copies files of the examples into the folder, as a user would."""
        for name in names:
            shutil.copy(EXAMPLES / name, self.folder)

    def run(self, *command: object, quiet: bool = True, **environment: str) -> str:
        """Runs a command in the folder and returns its standard output. If it fails, its output is printed to standard error."""
        run = subprocess.run(
            [str(word) for word in command],
            cwd=self.folder,
            env={**self.environment, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if not quiet else subprocess.PIPE,
            text=True,
        )
        if run.returncode != 0:
            print(run.stdout, run.stderr or "", sep="\n", file=sys.stderr)
            sys.exit(f"{self.name}: {' '.join(map(str, command))} ended with {run.returncode}")
        return run.stdout

    def three_reads(self, names: list, read, table, form: Form, marks: bool = True) -> None:
        """Reads all rows, then the changed ones, then none; after each read, compares all tables with the store.

        `read` runs the client and gives back how many records it brought; `table` gives the rows of a table and the
        names of its columns. `marks` is false if `read` does not count the records that mark deleted rows.
        """
        whole = {name for name in names if not self.streams[name].get("default_cursor_field")}
        truth = Truth(self.store.url, {name: self.key(name) for name in names}, whole, self.deletes, marks)
        for when in ("first read", "second read", "third read"):
            if when == "second read":
                print(f"{self.name}, the store: {self.store.typed('change')}")
                if self.deletes:
                    # One that was not changed, and is on a page of its own.
                    deleted = sorted(truth.rows["orders"])[9]
                    print(f"{self.name}, the store: {self.store.typed(f'delete orders {deleted}')}")
                order = next(iter(truth.rows["orders"]))
                self.store.typed(f"set orders {order} grand_total {DIGITS}")
                self.store.typed(f'set orders {order} {NOTE[0]} "{NOTE[1]}"')
                if "products" in names:
                    # The only changed product, so that all values of the column in this read are digits.
                    self.store.typed(f'set products {max(truth.rows["products"])} {ZEROS[0]} "{ZEROS[1]}"')
            due, brought = truth.look(), read()
            self.verdict.same(f"{when}, records brought", due, brought)
            for name in names:
                found, columns = table(name)
                properties = {
                    field: declared for field, declared in self.properties(name).items() if field not in form.apart
                }
                self.verdict.rows(
                    f"{when}, {name}", truth.rows[name], found, self.key(name), properties, columns, form
                )
            print(f"{self.name}, {when}: {brought} records, {due} due", flush=True)
        self.truth, self.changed_order = truth, order

    def two_runs(self, command: list, words: str, rows: Path, environment: dict) -> None:
        """Runs the command of a scheduler twice with a change in between, and counts the lines of the record files.

        `words` is the command as text, which names the streams.
        """
        due, brought = self.count(words), []
        for _ in range(2):
            run = subprocess.run(command, env={**self.environment, **environment}, stderr=subprocess.DEVNULL)
            self.verdict.same("exit code of the command", 0, run.returncode)
            brought.append(sum(len(file.read_text().splitlines()) for file in rows.glob("*.jsonl")))
            self.store.typed("change")
        self.verdict.same("records of the first run", due, brought[0])
        self.verdict.same("records that the second run added, as `change` changes them", 8, brought[1] - brought[0])

    def close(self) -> int:
        return self.verdict.close()
