"""Reads a store into DuckDB: python into_duckdb.py

`config.json` lies in the current folder, readable by you alone; `source-cart` is on the PATH.
"""

import json
import os
import shutil
from pathlib import Path

# PyAirbyte looks for a connector in its registry and reports its use, unless told otherwise.
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

# One table a stream, in the schema `cart`, and the states beside them: the next run brings what has changed.
with DuckDBCache(db_path="store.duckdb", schema_name="cart") as cache:
    result = source.read(cache=cache)
print(f"{result.processed_records} records")
