"""The sample store: as a process, and through its API."""

import json
import subprocess
import sys
import urllib.request
from decimal import Decimal

TOKEN = "good-token"


def listed(url: str, resource: str, key: str) -> dict:
    """Returns all rows of a resource by key, with all digits of numbers."""
    # A proxy of this machine has no business with a loopback address.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    rows, page = {}, 1
    while True:
        request = urllib.request.Request(
            f"{url}/api/v1/{resource}?count=500&sort={key}&page={page}",
            headers={"X-AC-Auth-Token": TOKEN, "Cache-Control": "no-cache"},
        )
        with opener.open(request, timeout=60) as answer:
            body = json.load(answer, parse_float=Decimal)
        (found,) = [value for value in body.values() if isinstance(value, list)]
        rows.update((row[key], row) for row in found)
        if not body.get("next_page"):
            break
        page += 1
    if len(rows) != body["total_count"]:
        sys.exit(f"The store counts {body['total_count']} {resource}, but lists {len(rows)}.")
    return rows


class Truth:
    """The last version of every row that a store ever listed: the expected content of a destination.

    Rows that the store deleted stay, unless the client removes them (`deletes`). `marks` is true if the records that
    mark deleted rows are among those that a read returns.
    """

    def __init__(self, url: str, keys: dict, whole: set, deletes: bool = False, marks: bool = True) -> None:
        self.url, self.keys, self.whole, self.deletes, self.marks = url, keys, whole, deletes, marks
        self.rows = {name: {} for name in keys}

    def look(self) -> int:
        """Reads the store again and returns the number of records that a read from the previous state must return."""
        due = 0
        for name, key in self.keys.items():
            now, known = listed(self.url, name, key), self.rows[name]
            due += sum(name in self.whole or known.get(key) != row for key, row in now.items())
            known.update(now)
            if self.deletes and name not in self.whole:
                gone = [key for key in known if key not in now]
                due += len(gone) if self.marks else 0
                for key in gone:
                    del known[key]
        return due


class Store:
    """The sample store as a process."""

    def __init__(self, executable: str, orders: int) -> None:
        self.process = subprocess.Popen(
            [executable, "--orders", str(orders)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        # `A sample store with 700 orders is at URL`, then the token, then what can be typed.
        self.url = self.heard().split()[-1]
        self.heard()
        self.heard()

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()

    def heard(self) -> str:
        line = self.process.stdout.readline()
        if not line:
            sys.exit("The sample store ended early.")
        return line.strip()

    def typed(self, line: str) -> str:
        """Sends a line and returns the reply of the store."""
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()
        return self.heard()
