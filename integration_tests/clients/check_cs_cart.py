"""Runs the examples of PyAirbyte and dlt with the connector for CS-Cart, and compares the tables with the store.

The scripts are those of examples/, with the name of the executable and of the streams exchanged, as docs/clients.md
says.
"""

import argparse
import atexit
import base64
import json
import os
import subprocess
import sys
import urllib.request
from decimal import Decimal
from pathlib import Path

from tables import query

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
STREAMS = ["orders", "order_items", "products", "users"]
# Each stream with its key and the fields that are compared: text in the store, numbers in the tables.
KEYS = {"orders": ["order_id"], "order_items": ["order_id", "item_id"], "products": ["product_id"], "users": ["user_id"]}
NUMBERS = {"orders": "total", "order_items": "amount", "products": "amount", "users": "company_id"}


class Store:
    """The sample store, and what its API lists."""

    def __init__(self, program: str) -> None:
        self.process = subprocess.Popen([program, "--orders", "300"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        atexit.register(self.process.kill)
        self.url = self.process.stdout.readline().split(" is at ")[1].strip()
        words = self.process.stdout.readline().replace(",", "").split()
        self.email, self.api_key = words[3], words[-1]

    def change(self) -> None:
        self.process.stdin.write("change\n")
        self.process.stdin.flush()
        # It answers with one line once the rows have changed.
        self.process.stdout.readline()

    def listed(self, target: str, name: str) -> list:
        sign_in = base64.b64encode(f"{self.email}:{self.api_key}".encode()).decode()
        request = urllib.request.Request(f"{self.url}/api/2.0/{target}", headers={"Authorization": f"Basic {sign_in}"})
        # A proxy of this machine has no business with a loopback address.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=60) as answer:
            rows = json.load(answer)[name]
        return list(rows.values()) if isinstance(rows, dict) else rows

    def rows(self) -> dict:
        """Returns the compared field of each row, by stream and key."""
        orders = self.listed("orders?items_per_page=0&get_orders_data=1", "orders")
        listed = {
            "orders": orders,
            "order_items": [{**item, "order_id": order["order_id"]} for order in orders for item in dict(order["products"]).values()],
            "products": self.listed("products?items_per_page=0", "products"),
            "users": self.listed("users?user_type=C&items_per_page=0", "users"),
        }
        return {
            name: {tuple(str(row[key]) for key in KEYS[name]): Decimal(str(row[NUMBERS[name]])) for row in listed[name]}
            for name in STREAMS
        }


def tables(database: Path, schema: str) -> dict:
    return {
        name: {
            tuple(str(row[key]) for key in KEYS[name]): Decimal(str(row[NUMBERS[name]]))
            for row in query(database, f'SELECT * FROM {schema}."{name}"')
        }
        for name in STREAMS
    }


def difference(store: dict, found: dict) -> list:
    """Returns a sentence for each row that is missing or differs. Rows that the store deleted may stay: the API does not
    report them."""
    faults = []
    for name, rows in store.items():
        missing = [key for key in rows if key not in found[name]]
        other = [key for key, value in rows.items() if key in found[name] and found[name][key] != value]
        faults += [f"{name}: {len(keys)} rows {what}, such as {keys[0]}" for keys, what in ((missing, "missing"), (other, "differ")) if keys]
    return faults


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--client", required=True, choices=["pyairbyte", "dlt"])
    arguments.add_argument("--source", required=True, type=Path, help="the executable of source-cs-cart")
    arguments.add_argument("--store", required=True, help="the sample store of CS-Cart")
    arguments.add_argument("--work", required=True, type=Path, help="a folder to work in")
    given = arguments.parse_args()
    store = Store(given.store)
    folder = given.work / f"cs-cart-{given.client}"
    programs = folder / "bin"
    programs.mkdir(parents=True)
    (programs / "source-cs-cart").symlink_to(given.source.resolve())
    config = {"store_url": store.url, "email": store.email, "api_key": store.api_key, "start_date": "2000-01-01T00:00:00Z"}
    (folder / "config.json").write_text(json.dumps(config))
    environment = {**os.environ, "HOME": str(folder), "TMPDIR": str(folder), "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
    environment |= {"PYTHONWARNINGS": "ignore", "RUNTIME__DLTHUB_TELEMETRY": "false"}
    environment["PATH"] = f"{programs}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for name in ("PROJECT_DIR", "INSTALL_DIR", "CACHE_ROOT", "TEMP_DIR", "LOGGING_ROOT"):
        (folder / name.lower()).mkdir()
        environment[f"AIRBYTE_{name}"] = str(folder / name.lower())

    example = EXAMPLES / ("dlt/cart.py" if given.client == "dlt" else "pyairbyte/into_duckdb.py")
    text = example.read_text().replace("source-cart", "source-cs-cart")
    for old, new in (('STREAMS = ["customers", "orders", "products"]', f"STREAMS = {STREAMS}"), ('streams="*",', f"streams={STREAMS},")):
        text = text.replace(old, new)
    assert str(STREAMS) in text, "the example has no list of streams to exchange"
    (folder / "example.py").write_text(text)

    faults = []
    # The second read finds changes, and the third one an unchanged store.
    for number in (1, 2, 3):
        if number == 2:
            store.change()
        done = subprocess.run([sys.executable, "example.py"], cwd=folder, env=environment, capture_output=True, text=True)
        if done.returncode != 0:
            faults.append(f"read {number} ended with {done.returncode}: {done.stdout[-1500:]}{done.stderr[-1500:]}")
            break
        faults += [f"read {number}: {fault}" for fault in difference(store.rows(), tables(folder / "store.duckdb", "cart"))]
    for fault in faults:
        print(f"cs-cart-{given.client}: {fault}", file=sys.stderr)
    rows = sum(map(len, store.rows().values()))
    print(f"cs-cart-{given.client}: {rows} rows compared in {len(STREAMS)} tables, {len(faults)} faults")
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
