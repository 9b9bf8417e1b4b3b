"""Reads a store into DuckDB with airbyte-serverless: python into_duckdb.py

`config.json` is in the current folder, readable only by you; `source-cart` is on the PATH. airbyte-serverless includes
two destinations, BigQuery and the screen; this one writes the same raw tables to a file.
"""

import json
from pathlib import Path

import duckdb
from airbyte_serverless.connections import Connection
from airbyte_serverless.destinations import DESTINATION_CLASS_MAP, BaseDestination


class DuckDBDestination(BaseDestination):
    def __init__(self, path: str, **options) -> None:
        super().__init__(**options)
        self.connection = duckdb.connect(path)
        self.connection.execute("SET TimeZone = 'UTC'")

    def get_state(self) -> list:
        self._create("_airbyte_states")
        # The last state of each stream.
        rows = self.connection.execute(
            "SELECT arg_max(_airbyte_data, number) FROM _airbyte_states"
            " GROUP BY json_extract_string(_airbyte_data, '$.stream.stream_descriptor.name')"
        )
        return [json.loads(data) for (data,) in rows.fetchall()]

    def _create(self, table: str) -> None:
        columns = ", ".join(f"{name} {kind}" for name, kind, _ in self.destination_columns)
        self.connection.execute("CREATE SEQUENCE IF NOT EXISTS numbers")
        self.connection.execute(
            f'CREATE TABLE IF NOT EXISTS "{table}" (number BIGINT DEFAULT nextval(\'numbers\'), {columns})'
        )

    def _write(self, table: str, records: list) -> None:
        self._create(table)
        names = [name for name, _, _ in self.destination_columns]
        self.connection.executemany(
            f'INSERT INTO "{table}" ({", ".join(names)}) VALUES ({", ".join("?" * len(names))})',
            [[record[name] for name in names] for record in records],
        )


DESTINATION_CLASS_MAP["duckdb"] = DuckDBDestination

Connection(
    {
        "source": {
            "executable": "source-cart",
            "config": json.loads(Path("config.json").read_text()),
            "streams": "customers,orders,order_items",
        },
        "destination": {"connector": "duckdb", "config": {"path": "store.duckdb", "buffer_size_max": 1000}},
    }
).run()
