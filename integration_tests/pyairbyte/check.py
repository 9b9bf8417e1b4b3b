"""Reads the sample store into DuckDB through PyAirbyte and compares the tables with the store's own answers.

Three reads: the first of everything, one after rows were changed, one with nothing changed. After each, every table is
compared with what the store's API lists, asked here directly. Rows that the store deleted stay in the destination,
since the API does not tell of them: what is expected is the last form of every row that was ever listed.

One line for each comparison goes to standard output. The exit code is 0 only if all agree.
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import urllib.request
from datetime import datetime, timezone
from decimal import Decimal
from pathlib import Path

TOKEN = "good-token"
# More than one page of 1,000 order items, so that the walk by key is at work as well.
ORDERS = "700"
# Sums of money that are compared to the last digit. The launcher takes numbers through doubles into DECIMAL(38,9), so
# the store's amounts have few enough digits to survive that; that the connector keeps any number is tested elsewhere.
MONEY = {"orders": "grand_total", "order_payments": "amount"}
CURSOR = "updated_at"
SCHEMA = "cart"
LAUNCHER = {
    # No look-up of connectors and no report of use.
    "AIRBYTE_OFFLINE_MODE": "1",
    "DO_NOT_TRACK": "1",
    # The store is on this machine.
    "NO_PROXY": "127.0.0.1",
    "no_proxy": "127.0.0.1",
    "PYTHONWARNINGS": "ignore",
}


class Store:
    """The sample store, as a process and over its API."""

    def __init__(self, executable: str) -> None:
        self.process = subprocess.Popen(
            [executable, "--orders", ORDERS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        # `A sample store with 700 orders is at URL`, then the token, then what can be typed.
        self.url = self.heard().split()[-1]
        self.heard()
        self.heard()
        # A proxy of this machine has no business with a loopback address.
        self.opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def heard(self) -> str:
        line = self.process.stdout.readline()
        if not line:
            sys.exit("The sample store ended early.")
        return line.strip()

    def change(self) -> str:
        self.process.stdin.write("change\n")
        self.process.stdin.flush()
        return self.heard()

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()

    def rows(self, resource: str, key: str) -> dict:
        """All rows by key, numbers with all their digits."""
        rows, page = {}, 1
        while True:
            request = urllib.request.Request(
                f"{self.url}/api/v1/{resource}?count=500&sort={key}&page={page}",
                headers={"X-AC-Auth-Token": TOKEN, "Cache-Control": "no-cache"},
            )
            with self.opener.open(request, timeout=60) as answer:
                body = json.load(answer, parse_float=Decimal)
            (listed,) = [value for value in body.values() if isinstance(value, list)]
            rows.update((row[key], row) for row in listed)
            if not body.get("next_page"):
                break
            page += 1
        if len(rows) != body["total_count"]:
            sys.exit(f"The store counts {body['total_count']} {resource}, but lists {len(rows)}.")
        return rows


class Verdict:
    """Prints comparisons and remembers whether all agreed."""

    def __init__(self) -> None:
        self.lines = self.wrong = 0

    def compare(self, what: str, store: object, table: object, shown: object = None) -> None:
        self.lines += 1
        if store == table:
            print(f"ok     {what}: {table if shown is None else shown}", flush=True)
        else:
            self.wrong += 1
            print(f"WRONG  {what}: {self.difference(store, table)}", flush=True)

    @staticmethod
    def difference(store: object, table: object) -> str:
        if not isinstance(store, dict):
            return f"the store says {store}, the table {table}"
        keys = [key for key in {**store, **table} if store.get(key, "absent") != table.get(key, "absent")]
        first = [f"{key}: {store.get(key, 'absent')} / {table.get(key, 'absent')}" for key in keys[:5]]
        return f"{len(keys)} rows differ (key: store / table), first {'; '.join(first)}"


def instant(value: object) -> object:
    """A time as an instant, whatever its form; None stays None. The launcher's tables hold UTC."""
    if value is None or value == "":
        return None
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(padded(value))
    moment = moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
    return moment.astimezone(timezone.utc)


def padded(text: str) -> str:
    """The same time with three digits of fraction, which Python 3.10 insists on."""
    seconds, offset = text.removesuffix("Z")[:19], text.removesuffix("Z")[19:]
    digits = offset[1:].split("+")[0].split("-")[0] if offset.startswith(".") else ""
    offset = offset[len(digits) + 1 :] if digits else offset
    return f"{seconds}.{digits[:6]:0<6}{offset or '+00:00'}"


def total(values: object) -> Decimal:
    return sum((Decimal(str(value)) for value in values if value not in (None, "")), Decimal(0)).normalize()


def table(connection: object, name: str, columns: list) -> list:
    listed = ", ".join(f'"{column}"' for column in columns)
    return connection.execute(f'SELECT {listed} FROM "{SCHEMA}"."{name}"').fetchall()


def compare(verdict: Verdict, when: str, keys: dict, declared: dict, expected: dict, database: Path) -> None:
    import duckdb

    with duckdb.connect(str(database), read_only=True) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for name, key in keys.items():
            rows = expected[name]
            dated = any(CURSOR in row for row in rows.values())
            columns = [key] + ([CURSOR] if dated else []) + ([MONEY[name]] if name in MONEY else [])
            found = table(connection, name, columns)
            what = f"{when}, {name}"
            verdict.compare(f"{what}, rows", len(rows), len(found))
            names = {column[0] for column in connection.execute(f'DESCRIBE "{SCHEMA}"."{name}"').fetchall()}
            verdict.compare(f"{what}, columns that are missing", [], [f for f in declared[name] if f not in names])
            verdict.compare(f"{what}, ids", dict.fromkeys(rows, "there"), {row[0]: "there" for row in found}, "the same")
            if dated:
                changed = {key: instant(row.get(CURSOR)) for key, row in rows.items()}
                stored = {row[0]: instant(row[1]) for row in found}
                newest = [max(filter(None, moments.values()), default=None) for moments in (changed, stored)]
                verdict.compare(f"{what}, newest {CURSOR}", *newest, newest[1] and newest[1].isoformat())
                verdict.compare(f"{what}, {CURSOR} of every row", changed, stored, "the same")
            if name in MONEY:
                sums = total(row.get(MONEY[name]) for row in rows.values()), total(row[-1] for row in found)
                verdict.compare(f"{what}, sum of {MONEY[name]}", *sums, f"{sums[1]:f}")


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--source", required=True, type=Path, help="the executable of source-cart")
    arguments.add_argument("--store", required=True, help="the executable of the example `store`")
    arguments.add_argument("--work", required=True, type=Path, help="a folder for the database and the launcher")
    given = arguments.parse_args()

    # Before the import, which reads them.
    os.environ.update(LAUNCHER)
    for name in ("PROJECT_DIR", "INSTALL_DIR", "CACHE_ROOT", "TEMP_DIR", "LOGGING_ROOT"):
        folder = given.work / name.lower()
        folder.mkdir(parents=True, exist_ok=True)
        os.environ[f"AIRBYTE_{name}"] = str(folder)
    with contextlib.redirect_stdout(sys.stderr):
        import airbyte
        from airbyte.caches import DuckDBCache

    store = Store(given.store)
    try:
        config = {
            "credentials": {
                "auth_type": "SINGLE_STORE_ACCESS_TOKEN",
                "access_token": TOKEN,
                "store_name": store.url,
            },
            "start_date": "2013-01-01T00:00:00Z",
        }
        # DuckDB mixes up a schema and a database of one name.
        database = given.work / "rows.duckdb"
        verdict = Verdict()
        expected: dict = {}

        def read(when: str, keys: dict) -> dict:
            """One read by a launcher that starts anew; gives back the keys of the streams."""
            with contextlib.redirect_stdout(sys.stderr):
                source = airbyte.get_source(
                    "source-cart", config=config, local_executable=given.source.resolve(), streams="*"
                )
                source.check()
                # Closed before the tables are looked at: one process, one connection at a time.
                with DuckDBCache(db_path=database, schema_name=SCHEMA) as cache:
                    result = source.read(cache=cache)
                streams = source.discovered_catalog.streams
            keys = keys or {stream.name: stream.source_defined_primary_key[0][0] for stream in streams}
            declared = {stream.name: list(stream.json_schema["properties"]) for stream in streams}
            whole = {stream.name for stream in streams if not stream.default_cursor_field}
            brought = 0
            for name, key in keys.items():
                rows = store.rows(name, key)
                known = expected.setdefault(name, {})
                brought += sum(name in whole or known.get(key) != row for key, row in rows.items())
                known.update(rows)
            verdict.compare(f"{when}, records read", brought, result.processed_records)
            compare(verdict, when, keys, declared, expected, database)
            return keys

        keys = read("first read", {})
        print(f"The store: {store.change()}", flush=True)
        read("second read", keys)
        read("third read", keys)
    finally:
        store.stop()
    print(f"{verdict.lines} comparisons, {verdict.wrong} wrong.")
    return 1 if verdict.wrong or not verdict.lines else 0


if __name__ == "__main__":
    sys.exit(main())
