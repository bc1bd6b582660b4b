SELECT ordered_on AS day, country, count(*) AS orders, sum(total) AS revenue
FROM orders
GROUP BY ALL
ORDER BY day, country
