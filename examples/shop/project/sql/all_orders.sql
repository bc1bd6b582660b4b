-- Every order once, as it was after its last change: shops send late orders, changed ones, and some twice.
SELECT * EXCLUDE (_date, nth)
FROM (
    SELECT *, row_number() OVER (PARTITION BY shop, order_id ORDER BY changed_at DESC, record) AS nth
    FROM orders
)
WHERE nth = 1
