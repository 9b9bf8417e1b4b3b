"""Runs examples/airbyte-serverless three times and compares the newest version of each row with the store."""

import json
import sys
from decimal import Decimal

from client import EXAMPLES, NOTE, Client
from compare import Form
from tables import query

NAMES = ["customers", "orders", "order_items"]


def main() -> int:
    client = Client("airbyte-serverless")
    database = client.folder / "store.duckdb"
    newest = (EXAMPLES / "airbyte-serverless" / "newest.sql").read_text()
    brought = [0]

    def read() -> int:
        # The log lines that the launcher repeats are not needed here.
        client.run(sys.executable, EXAMPLES / "airbyte-serverless" / "into_duckdb.py")
        count = [query(database, f"SELECT count(*) AS rows FROM _airbyte_raw_{name}")[0]["rows"] for name in NAMES]
        brought.append(sum(count))
        return brought[-1] - brought[-2]

    def table(name: str) -> tuple:
        rows = query(database, newest.replace("_airbyte_raw_orders", f"_airbyte_raw_{name}"))
        found = [json.loads(row["_airbyte_data"], parse_float=Decimal) for row in rows]
        return found, {column for row in found for column in row}

    client.three_reads(NAMES, read, table, Form(doubles=True))
    (order,) = [row for row in table("orders")[0] if row["id"] == client.changed_order]
    client.verdict.same("the undeclared field is in the data", NOTE[1], order.get(NOTE[0]))
    return client.close()


if __name__ == "__main__":
    sys.exit(main())
