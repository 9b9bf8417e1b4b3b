"""Reads a store into PostgreSQL: python into_postgres.py

`config.json` is in the current folder, readable only by you; `source-cart` is on the PATH. The database is
selected as for psql: PGHOST, PGPORT, PGUSER, PGPASSWORD and PGDATABASE.
"""

import functools
import json
import os
import shutil
from pathlib import Path

# Without these variables, PyAirbyte looks for the connector in its registry and reports its use.
os.environ.setdefault("AIRBYTE_OFFLINE_MODE", "1")
os.environ.setdefault("DO_NOT_TRACK", "1")

import airbyte
import pandas
from airbyte.caches import PostgresCache

# PyAirbyte loads PostgreSQL with pandas. By default pandas converts a string of digits to a number ("01234" to 1234).
pandas.read_json = functools.partial(pandas.read_json, dtype=False, convert_dates=False, precise_float=True)

source = airbyte.get_source(
    "source-cart",
    config=json.loads(Path("config.json").read_text()),
    local_executable=shutil.which("source-cart"),
    streams=["customers", "orders", "order_items", "order_payments", "products"],
)
source.check()

# One table per stream, in the schema `cart`, and the states in the same database: the next run reads what changed.
cache = PostgresCache(
    host=os.environ["PGHOST"],
    port=int(os.environ.get("PGPORT", "5432")),
    username=os.environ["PGUSER"],
    password=os.environ["PGPASSWORD"],
    database=os.environ["PGDATABASE"],
    schema_name="cart",
)
result = source.read(cache=cache)
# Rows that the store deleted, if `detect_deletions` in the config names their stream.
for name in source.get_selected_streams():
    if "_ab_cdc_deleted_at" in source.get_stream_json_schema(name)["properties"]:
        cache.execute_sql(f'DELETE FROM cart."{name}" WHERE _ab_cdc_deleted_at IS NOT NULL')
print(f"{result.processed_records} records")
