"""Loads a store into DuckDB with dlt: python cart.py

`config.json` is in the current folder, readable only by you; `source-cart` is on the PATH. dlt creates a child table for
every nested list: with `"expand": ["orders.items"]` in the config, the items of an order are in `orders__items`.
"""

import json
import subprocess
import tempfile
from decimal import Decimal

import dlt

STREAMS = ["customers", "orders", "products"]
TYPES = {"integer": "bigint", "number": "decimal", "boolean": "bool", "object": "json", "string": "text"}


def source_cart(*arguments: str):
    """Yields the messages of one run. Numbers keep all their digits."""
    run = subprocess.Popen(["source-cart", *arguments, "--config", "config.json"], stdout=subprocess.PIPE, text=True)
    for line in run.stdout:
        yield json.loads(line, parse_float=Decimal)
    if run.wait() != 0:
        # Then dlt loads nothing of this run, and keeps the states of the run before.
        raise RuntimeError(f"source-cart {arguments[0]} ended with exit code {run.returncode}; its messages say why.")


def hints(schema: dict, path: tuple = ()):
    """Yields the declared types, for a table and its child tables. Without them, dlt guesses types from the first rows,
    and puts a decimal that follows an integer into a separate column."""
    columns = {}
    for name, declared in schema.get("properties", {}).items():
        kinds = [declared["type"]] if isinstance(declared["type"], str) else declared["type"]
        kinds = [kind for kind in kinds if kind != "null"]
        if kinds == ["array"]:
            yield from hints(declared.get("items", {}), (*path, name))
        elif declared.get("format") == "date-time":
            columns[name] = {"data_type": "timestamp"}
        else:
            columns[name] = {"data_type": TYPES[kinds[0]] if len(kinds) == 1 else "text"}
    # Rows that the store deleted (`detect_deletions` in the config): dlt removes those with a value here.
    columns.get("_ab_cdc_deleted_at", {})["hard_delete"] = True
    yield path, columns


def described(stream: dict) -> dict:
    tables = dict(hints(stream["json_schema"]))
    return dlt.mark.make_hints(
        table_name=stream["name"],
        write_disposition="merge",
        primary_key=[name for path in stream["source_defined_primary_key"] for name in path],
        columns=tables.pop(()),
        nested_hints={path: dlt.mark.make_nested_hints(columns=columns) for path, columns in tables.items()},
    )


@dlt.resource(name="cart")
def cart():
    (catalog,) = [message["catalog"] for message in source_cart("discover") if message["type"] == "CATALOG"]
    streams = {stream["name"]: stream for stream in catalog["streams"]}
    # The last state of each stream. dlt stores it with the rows, in the same load.
    states = dlt.current.resource_state().setdefault("states", {})
    known = set()
    with tempfile.NamedTemporaryFile("w", suffix=".json") as state:
        json.dump(list(states.values()), state)
        state.flush()
        for message in source_cart("read", "--streams", ",".join(STREAMS), "--state", state.name):
            if message["type"] == "RECORD":
                name, row = message["record"]["stream"], message["record"]["data"]
                if name in known:
                    yield dlt.mark.with_table_name(row, name)
                else:
                    known.add(name)
                    yield dlt.mark.with_hints(row, described(streams[name]), create_table_variant=True)
            elif message["type"] == "STATE":
                stream = message["state"]["stream"]
                states[stream["stream_descriptor"]["name"]] = {"type": "STREAM", "stream": stream}


if __name__ == "__main__":
    # dlt keeps a copy of the states in `pipelines`. To start over, remove it together with the database.
    pipeline = dlt.pipeline(
        "cart", pipelines_dir="pipelines", destination=dlt.destinations.duckdb("store.duckdb"), dataset_name="cart"
    )
    print(pipeline.run(cart()))
