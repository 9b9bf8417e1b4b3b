#!/bin/sh
# Reads what has changed since the last run, and loads it: sh read.sh
set -eu

touch states.jsonl
source-cart read --config config.json --streams orders,order_items --state states.jsonl > cart.jsonl
duckdb store.duckdb -f load.sql
# Only now: rows that were not loaded are read again.
grep '^{"type":"STATE"' cart.jsonl >> states.jsonl
