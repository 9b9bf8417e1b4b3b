-- Selects the newest version of each order.
SELECT _airbyte_data
FROM _airbyte_raw_orders
QUALIFY row_number() OVER (PARTITION BY _airbyte_data->>'id' ORDER BY number DESC) = 1;
