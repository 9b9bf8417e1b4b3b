-- Loads the files of `--format jsonl --output rows`: of each row the form that was written last.
-- Run it after each read; files that were loaded may be moved away: psql -f newest.sql

\set ON_ERROR_STOP on
BEGIN;
CREATE TABLE IF NOT EXISTS orders (id BIGINT PRIMARY KEY, updated_at TIMESTAMPTZ, data JSON);
CREATE TEMP TABLE emitted (line BIGINT GENERATED ALWAYS AS IDENTITY, data JSON) ON COMMIT DROP;
-- The files by their number, each line as it is: JSON holds neither of the two characters.
\copy emitted (data) FROM PROGRAM 'ls rows/orders.*jsonl | sort -V | xargs cat' WITH (FORMAT csv, DELIMITER E'\x01', QUOTE E'\x02')

INSERT INTO orders
SELECT DISTINCT ON (data->>'id') CAST(data->>'id' AS BIGINT), CAST(data->>'updated_at' AS TIMESTAMPTZ), data
FROM emitted
ORDER BY data->>'id', line DESC
ON CONFLICT (id) DO UPDATE SET updated_at = excluded.updated_at, data = excluded.data;
COMMIT;
