SELECT DISTINCT shop, order_id, sku, CAST(quantity AS INTEGER) AS quantity, reason, CAST(returned_on AS DATE) AS returned_on
FROM returns
