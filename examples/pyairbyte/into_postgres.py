"""Reads a store into PostgreSQL: python into_postgres.py

`config.json` lies in the current folder, readable by you alone; `source-cart` is on the PATH. The database is named as
for psql, by PGHOST, PGPORT, PGUSER, PGPASSWORD and PGDATABASE.
"""

import functools
import json
import os
import shutil
from pathlib import Path

# PyAirbyte looks for a connector in its registry and reports its use, unless told otherwise.
os.environ.setdefault("AIRBYTE_OFFLINE_MODE", "1")
os.environ.setdefault("DO_NOT_TRACK", "1")

import airbyte
import pandas
from airbyte.caches import PostgresCache

# Into PostgreSQL, PyAirbyte loads its files with pandas, which takes a text of digits for a number ("01234" for 1234)
# unless it is told not to.
pandas.read_json = functools.partial(pandas.read_json, dtype=False, convert_dates=False, precise_float=True)

source = airbyte.get_source(
    "source-cart",
    config=json.loads(Path("config.json").read_text()),
    local_executable=shutil.which("source-cart"),
    streams=["customers", "orders", "order_items", "order_payments", "products"],
)
source.check()

# One table a stream, in the schema `cart`, and the states beside them: the next run brings what has changed.
cache = PostgresCache(
    host=os.environ["PGHOST"],
    port=int(os.environ.get("PGPORT", "5432")),
    username=os.environ["PGUSER"],
    password=os.environ["PGPASSWORD"],
    database=os.environ["PGDATABASE"],
    schema_name="cart",
)
result = source.read(cache=cache)
print(f"{result.processed_records} records")
