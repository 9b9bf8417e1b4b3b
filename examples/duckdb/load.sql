-- Loads the last version of each record in cart.jsonl: duckdb store.duckdb -f load.sql
-- Run it after each read. Existing rows are replaced by key.

CREATE TABLE IF NOT EXISTS orders (
    id BIGINT PRIMARY KEY, customer_id BIGINT, ordered_at TIMESTAMPTZ, grand_total DECIMAL(18, 4),
    updated_at TIMESTAMPTZ, data JSON  -- all fields, as the store sent them
);
CREATE TABLE IF NOT EXISTS order_items (
    id BIGINT PRIMARY KEY, order_id BIGINT, item_name VARCHAR, quantity DECIMAL(18, 4), price DECIMAL(18, 4),
    updated_at TIMESTAMPTZ, data JSON
);

CREATE TEMP VIEW lines AS
SELECT record.stream AS stream, record.data AS data, row_number() OVER () AS line  -- in the order of the lines
FROM read_json('cart.jsonl', format = 'newline_delimited', maximum_object_size = 67108864,
               columns = {type: 'VARCHAR', record: 'STRUCT(stream VARCHAR, data JSON)'})
WHERE type = 'RECORD';

CREATE TEMP VIEW records AS
SELECT stream, data FROM lines
QUALIFY row_number() OVER (PARTITION BY stream, data->>'id' ORDER BY line DESC) = 1;

INSERT OR REPLACE INTO orders
SELECT data->>'id', data->>'customer_id', data->>'ordered_at', data->>'grand_total', data->>'updated_at', data
FROM records WHERE stream = 'orders';

INSERT OR REPLACE INTO order_items
SELECT data->>'id', data->>'order_id', data->>'item_name', data->>'quantity', data->>'price', data->>'updated_at', data
FROM records WHERE stream = 'order_items';

-- Rows that the store deleted, if `detect_deletions` in the config names the stream.
DELETE FROM orders WHERE (data->>'_ab_cdc_deleted_at') IS NOT NULL;
DELETE FROM order_items WHERE (data->>'_ab_cdc_deleted_at') IS NOT NULL;
