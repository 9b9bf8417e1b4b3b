-- Loads the last version of each row from the files of `--format jsonl --output rows`.
-- Run it after each read, with all files still in the folder: duckdb store.duckdb -f newest.sql

CREATE OR REPLACE TABLE orders AS
WITH emitted AS (
    SELECT json AS data, row_number() OVER () AS line,  -- in the order of the lines
           -- The first file of a stream has no number.
           coalesce(try_cast(regexp_extract(filename, '[.]run([0-9]+)[.]jsonl$', 1) AS INTEGER), 1) AS run
    FROM read_json_objects('rows/orders.*jsonl', format = 'newline_delimited', filename = true,
                           maximum_object_size = 67108864)
)
SELECT CAST(data->>'id' AS BIGINT) AS id, CAST(data->>'updated_at' AS TIMESTAMPTZ) AS updated_at, data
FROM emitted
-- The last version may say that the store deleted the row (`detect_deletions` in the config).
QUALIFY row_number() OVER (PARTITION BY id ORDER BY run DESC, line DESC) = 1 AND (data->>'_ab_cdc_deleted_at') IS NULL;
