-- Loads the last version of each row from the files of `--format jsonl --output rows`.
-- Run it after each read. You can move files away after they are loaded: psql -f newest.sql

\set ON_ERROR_STOP on
BEGIN;
CREATE TABLE IF NOT EXISTS orders (id BIGINT PRIMARY KEY, updated_at TIMESTAMPTZ, data JSON);
CREATE TEMP TABLE emitted (line BIGINT GENERATED ALWAYS AS IDENTITY, data JSON) ON COMMIT DROP;
-- Reads the files in the order of their numbers, one line per row: JSON contains neither of these two characters.
\copy emitted (data) FROM PROGRAM 'ls rows/orders.*jsonl | sort -V | xargs cat' WITH (FORMAT csv, DELIMITER E'\x01', QUOTE E'\x02')

INSERT INTO orders
SELECT DISTINCT ON (data->>'id') CAST(data->>'id' AS BIGINT), CAST(data->>'updated_at' AS TIMESTAMPTZ), data
FROM emitted
ORDER BY data->>'id', line DESC
ON CONFLICT (id) DO UPDATE SET updated_at = excluded.updated_at, data = excluded.data;
-- Rows that the store deleted (`detect_deletions` in the config).
DELETE FROM orders WHERE (data->>'_ab_cdc_deleted_at') IS NOT NULL;
COMMIT;
