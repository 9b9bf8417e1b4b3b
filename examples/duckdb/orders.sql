-- The largest orders with their line items: duckdb store.duckdb -f orders.sql
SELECT orders.id AS order_id, ordered_at, grand_total, item_name, quantity, price
FROM orders JOIN order_items ON order_items.order_id = orders.id
ORDER BY grand_total DESC, orders.id, order_items.id
LIMIT 20;
