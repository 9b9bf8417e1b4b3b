"""Loads orders and carts of a CS-Cart store into DuckDB with dlt's `rest_api` source: the competitor of source-cs-cart.

The configuration is the one that dlt's documentation has for any API with page numbers. Started by cs_cart.py with
one argument, the settings as JSON:

    task       load: into DuckDB. extract: only into dlt's own files. rows: prints the loaded rows, one a line
    url, email, key, folder
    resources  parameters of the requests, by resource
    nesting    maximum depth of child tables and columns; null for dlt's default
"""

import json
import shutil
import sys

KEYS = {"orders": ["order_id"], "carts": ["user_id", "company_id"]}
# What dlt calls a column for values that do not fit the type it found first.
VARIANT = "__v_"


def source(settings):
    from dlt.sources.rest_api import rest_api_source

    config = {
        "client": {
            "base_url": f"{settings['url']}/api/2.0/",
            "auth": {"type": "http_basic", "username": settings["email"], "password": settings["key"]},
            # `total_path` is for a number of pages. The store sends a number of rows, so dlt reads until a page is empty.
            "paginator": {"type": "page_number", "base_page": 1, "page_param": "page", "total_path": None},
        },
        "resources": [
            {
                "name": name,
                "primary_key": KEYS[name],
                "write_disposition": "replace",
                "endpoint": {"path": name, "data_selector": name, "params": parameters},
            }
            for name, parameters in settings["resources"].items()
        ],
    }
    return rest_api_source(config, max_table_nesting=settings["nesting"])


def load(settings):
    import dlt

    shutil.rmtree(settings["folder"], ignore_errors=True)
    pipeline = dlt.pipeline(
        "cs_cart",
        pipelines_dir=settings["folder"],
        destination=dlt.destinations.duckdb(f"{settings['folder']}/store.duckdb"),
        dataset_name="loaded",
    )
    if settings["task"] == "extract":
        pipeline.extract(source(settings))
    else:
        pipeline.run(source(settings))


def print_rows(settings):
    """Prints the rows of one table, with the values of variant columns in the columns that they belong to."""
    import duckdb

    (table,) = settings["resources"]
    found = duckdb.connect(f"{settings['folder']}/store.duckdb", read_only=True).execute(f"SELECT * FROM loaded.{table}")
    names = [(column[0], str(column[1]) == "JSON") for column in found.description]
    while values := found.fetchone():
        row = {}
        for (name, is_json), value in zip(names, values):
            if is_json and value is not None:
                value = json.loads(value)
            name = name.split(VARIANT)[0]
            if value is not None or name not in row:
                row[name] = value
        print(json.dumps({name: value for name, value in row.items() if not name.startswith("_dlt")}))


def main():
    settings = json.loads(sys.argv[1])
    if settings["task"] == "rows":
        print_rows(settings)
    else:
        load(settings)


if __name__ == "__main__":
    main()
