SELECT
    count(*) AS lines,
    count(DISTINCT invoice) AS invoices,
    sum(quantity * price) AS revenue,
    count(*) FILTER (starts_with(invoice, 'C')) AS cancelled
FROM lines
