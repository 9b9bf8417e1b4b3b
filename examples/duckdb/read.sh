#!/bin/sh
# Reads rows that changed since the last run, and loads them: sh read.sh
set -eu

touch state.json
source-cart read --config config.json --streams orders,order_items --state state.json --state-out next.json > cart.jsonl
duckdb store.duckdb -f load.sql
# After the load, so that rows that were not loaded are read again.
mv next.json state.json
