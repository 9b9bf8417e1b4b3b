"""Runs newest.sql of DuckDB and of PostgreSQL over files in which one row has many versions, all with one date."""

import csv
import io
import json
import sys

from client import Client

# Rows of each file in order: the id, and which form it is.
FILES = {
    "orders.jsonl": [(1, "a"), (2, "a"), (3, "only"), (1, "b"), (2, "last of its file")],
    "orders.run0002.jsonl": [(1, "c"), (1, "d")],
    "orders.run0010.jsonl": [(4, "older")] + [(100 + n, "many") for n in range(200_000)] + [(4, "newer")],
    # The number counts, not the name.
    "orders.run9999.jsonl": [(1, "e"), (5, "older")],
    "orders.run10000.jsonl": [(5, "newer"), (6, "deleted"), (7, "deleted"), (7, "restored")],
    # Not finished, and another stream.
    "orders.run10001.jsonl.partial": [(1, "partial")],
    "orders_more.jsonl": [(1, "another")],
}
NEWEST = {1: "e", 2: "last of its file", 3: "only", 4: "newer", 5: "newer", 7: "restored"}


def main() -> int:
    client = Client("newest")
    rows = client.folder / "rows"
    rows.mkdir()
    for name, lines in FILES.items():
        forms = (
            {
                "id": id,
                "name": f'{form}, "quoted"\n',
                "updated_at": "2024-11-18T12:00:00Z",
                "_ab_cdc_deleted_at": "2024-11-18T12:00:00Z" if form == "deleted" else None,
            }
            for id, form in lines
        )
        (rows / name).write_text("".join(json.dumps(form) + "\n" for form in forms))

    def compare(database: str, output: str) -> None:
        found = {int(row["id"]): row["name"] for row in csv.DictReader(io.StringIO(output))}
        client.verdict.same(f"the number of rows in {database}", 200_000 + len(NEWEST), len(found))
        newest = {id: found[id].split(",")[0] for id in NEWEST}
        client.verdict.same(f"the newest form of each row in {database}", NEWEST, newest)

    query = "SELECT id, data->>'name' AS name FROM orders"
    client.copy("duckdb/newest.sql")
    for _ in range(2):
        client.run("duckdb", "store.duckdb", "-f", "newest.sql")
        compare("DuckDB", client.run("duckdb", "store.duckdb", "-csv", "-c", query))
    client.copy("postgres/newest.sql")
    # Other checks use the same database.
    client.run("psql", "--no-psqlrc", "--quiet", "-c", "DROP TABLE IF EXISTS orders CASCADE")
    for _ in range(2):
        client.run("psql", "--no-psqlrc", "--quiet", "-f", "newest.sql")
        compare("PostgreSQL", client.run("psql", "--no-psqlrc", "--csv", "-c", query))
    return client.close()


if __name__ == "__main__":
    sys.exit(main())
