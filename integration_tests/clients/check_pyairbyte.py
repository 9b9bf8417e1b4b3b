"""Runs examples/pyairbyte three times, into DuckDB or PostgreSQL, and compares the tables with the store."""

import os
import sys

from client import EXAMPLES, NOTE, Client
from compare import Form
from tables import table as duckdb_table

FOLDERS = ("PROJECT_DIR", "INSTALL_DIR", "CACHE_ROOT", "TEMP_DIR", "LOGGING_ROOT")


def main() -> int:
    into = os.environ.get("INTO", "duckdb")
    client = Client(f"pyairbyte-{into}", deletes=True)
    for name in FOLDERS:
        folder = client.folder / name.lower()
        folder.mkdir()
        client.environment[f"AIRBYTE_{name}"] = str(folder)
    names = list(client.streams) if into == "duckdb" else ["customers", "orders", "order_items", "order_payments", "products"]

    def read() -> int:
        output = client.run(sys.executable, EXAMPLES / "pyairbyte" / f"into_{into}.py")
        return int(output.split()[-2])

    def postgres_table(name: str) -> tuple:
        import psycopg
        from psycopg.rows import dict_row

        with psycopg.connect("", row_factory=dict_row, options="-c TimeZone=UTC") as connection:
            cursor = connection.execute(f'SELECT * FROM cart."{name}"')
            return cursor.fetchall(), {column.name for column in cursor.description}

    def table(name: str) -> tuple:
        if into == "postgres":
            rows, columns = postgres_table(name)
        else:
            rows, columns = duckdb_table(client.folder / "store.duckdb", f'cart."{name}"')
        return rows, columns

    client.three_reads(names, read, table, Form(doubles=True))
    _, columns = table("orders")
    client.verdict.same("the undeclared field has no column", False, NOTE[0] in columns)
    return client.close()


if __name__ == "__main__":
    sys.exit(main())
