"""Reads a store into DuckDB: python into_duckdb.py

`config.json` is in the current folder, readable only by you; `source-cart` is on the PATH.
"""

import json
import os
import shutil
from pathlib import Path

# Without these variables, PyAirbyte looks for the connector in its registry and reports its use.
os.environ.setdefault("AIRBYTE_OFFLINE_MODE", "1")
os.environ.setdefault("DO_NOT_TRACK", "1")

import airbyte
from airbyte.caches import DuckDBCache

source = airbyte.get_source(
    "source-cart",
    config=json.loads(Path("config.json").read_text()),
    local_executable=shutil.which("source-cart"),
    streams="*",  # or a list: ["orders", "order_items"]
)
source.check()

# One table per stream, in the schema `cart`, and the states in the same database: the next run reads what changed.
with DuckDBCache(db_path="store.duckdb", schema_name="cart") as cache:
    result = source.read(cache=cache)
    # Rows that the store deleted, if `detect_deletions` in the config names their stream.
    for name in source.get_selected_streams():
        if "_ab_cdc_deleted_at" in source.get_stream_json_schema(name)["properties"]:
            cache.execute_sql(f'DELETE FROM cart."{name}" WHERE _ab_cdc_deleted_at IS NOT NULL')
print(f"{result.processed_records} records")
