"""Runs examples/dlt three times and compares the tables, child tables included, with the store."""

import sys
from collections import defaultdict

from client import EXAMPLES, NOTE, Client
from compare import Form, types
from sample import listed
from tables import query, table

NAMES = ["customers", "orders", "products"]


def main() -> int:
    client = Client("dlt", expand=("orders.items",), deletes=True)
    database = client.folder / "store.duckdb"
    loads = set()
    # The items as they were when their order was last read: the store does not count them as a change of the order.
    items = {}

    def read() -> int:
        client.run(sys.executable, EXAMPLES / "dlt" / "cart.py")
        brought = 0
        for name in NAMES:
            rows = query(database, f"SELECT id, _dlt_load_id FROM cart.{name}")
            fresh = {row["id"] for row in rows if row["_dlt_load_id"] not in loads}
            brought += len(fresh)
            if name == "orders":
                now = listed(client.store.url, "order_items", "id")
                items.update((key, row) for key, row in now.items() if row["order_id"] in fresh)
                # The items of a deleted order go with it.
                orders = {row["id"] for row in rows}
                for key in [key for key, row in items.items() if row["order_id"] not in orders]:
                    del items[key]
        loads.update(row["load_id"] for row in query(database, "SELECT load_id FROM cart._dlt_loads"))
        return brought

    existing = {}

    def children(name: str, declared: dict) -> dict:
        """Returns the elements of a list by their row, in order."""
        if name not in existing:
            return {}
        rows, _ = table(database, f"cart.{name}")
        properties = declared.get("items", {}).get("properties")
        nested = {
            field: children(f"{name}__{field}", inner)
            for field, inner in (properties or {}).items()
            if "array" in types(inner)
        }
        found = defaultdict(list)
        for row in sorted(rows, key=lambda row: row["_dlt_list_idx"]):
            row.update((field, elements.get(row["_dlt_id"])) for field, elements in nested.items())
            found[row["_dlt_parent_id"]].append(row if properties else row["value"])
        return found

    def rows(name: str) -> tuple:
        existing.clear()
        tables = query(database, "SELECT table_name FROM duckdb_tables() WHERE schema_name = 'cart'")
        existing.update((row["table_name"], True) for row in tables)
        found, columns = table(database, f"cart.{name}")
        for field, declared in client.properties(name).items():
            if "array" in types(declared):
                elements = children(f"{name}__{field}", declared)
                columns.add(field)
                for row in found:
                    row[field] = elements.get(row["_dlt_id"])
        return found, columns

    declared = client.properties("orders")["items"]
    # The items are compared below, with what the store lists under their own address.
    client.three_reads(NAMES, read, rows, Form(children=True, apart=("items",)), marks=False)

    nested = [row for rows in children("orders__items", declared).values() for row in rows]
    properties = declared["items"]["properties"]
    form = Form(children=True)
    client.verdict.rows("orders__items", items, nested, "id", properties, set(properties), form)
    variants = query(
        database, "SELECT column_name FROM duckdb_columns() WHERE schema_name = 'cart' AND contains(column_name, '__v_')"
    )
    client.verdict.same("columns that dlt split by type", [], variants)
    note = query(database, f"SELECT {NOTE[0]} AS note FROM cart.orders WHERE id = {client.changed_order}")
    client.verdict.same("the undeclared field has a column", [{"note": NOTE[1]}], note)
    return client.close()


if __name__ == "__main__":
    sys.exit(main())
