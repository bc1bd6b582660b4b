SELECT
    InvoiceNo AS invoice,
    StockCode AS stock_code,
    nullif(Description, '') AS description,
    CAST(Quantity AS INTEGER) AS quantity,
    CAST(InvoiceDate AS TIMESTAMP) AS invoiced_at,
    CAST(UnitPrice AS DECIMAL(12, 3)) AS price,
    nullif(CustomerID, '') AS customer,
    Country AS country
FROM lines
