"""Runs examples/duckdb three times and compares the tables with the store, the joined query too."""

import csv
import io
import json
import sys
from decimal import Decimal

from client import EXAMPLES, NOTE, Client
from compare import Form, plain

NAMES = ["orders", "order_items"]


def main() -> int:
    client = Client("duckdb", deletes=True)
    client.copy("duckdb/read.sh", "duckdb/load.sql", "duckdb/orders.sql")

    def read() -> int:
        client.run("sh", "read.sh")
        with (client.folder / "cart.jsonl").open() as lines:
            return sum(json.loads(line)["type"] == "RECORD" for line in lines)

    def asked(sql: str) -> list:
        # In UTC, as a user of this machine might not see it.
        output = client.run("duckdb", "store.duckdb", "-csv", "-c", f"SET TimeZone = 'UTC'; {sql}")
        csv.field_size_limit(1 << 24)
        return list(csv.DictReader(io.StringIO(output)))

    def table(name: str) -> tuple:
        rows = asked(f"SELECT * FROM {name}")
        properties = client.properties(name)
        found = []
        for row in rows:
            data = json.loads(row.pop("data"), parse_float=Decimal)
            for column, value in row.items():
                form = Form(doubles=True)
                same = plain(data.get(column), properties[column], form) == plain(value or None, properties[column], form)
                if not same and (data.get(column) or value):
                    client.verdict.same(f"{name} {row['id']}, {column} of the column and of the data", data.get(column), value)
            found.append(data)
        # Only the records of deleted rows have their mark, and these are not in the table.
        return found, {column for data in found for column in data} | {"_ab_cdc_deleted_at"}

    client.three_reads(NAMES, read, table, Form(doubles=True))

    rows = client.truth.rows
    due = [
        (order, item["id"])
        for item in rows["order_items"].values()
        if (order := item["order_id"]) in rows["orders"]
    ]
    due.sort(key=lambda pair: (-rows["orders"][pair[0]]["grand_total"], *pair))
    output = client.run("duckdb", "store.duckdb", "-csv", "-f", EXAMPLES / "duckdb" / "orders.sql")
    shown = list(csv.DictReader(io.StringIO(output)))
    expected = [
        (order, rows["order_items"][item]["item_name"], Decimal(rows["order_items"][item]["price"]))
        for order, item in due[: len(shown)]
    ]
    found = [(int(row["order_id"]), row["item_name"], Decimal(row["price"])) for row in shown]
    client.verdict.same("the query over orders and their items", (20, expected), (len(shown), found))
    note = asked(f"SELECT data->>'{NOTE[0]}' AS note FROM orders WHERE id = {client.changed_order}")
    client.verdict.same("the undeclared field is in the data", [{"note": NOTE[1]}], note)
    return client.close()


if __name__ == "__main__":
    sys.exit(main())
