-- Who buys what it is worth, over all shops: ranked, with how long they usually wait before they come back.
WITH paid AS (
    SELECT
        lower(email) AS customer,
        *,
        date_diff('day', lag(ordered_at) OVER (PARTITION BY lower(email) ORDER BY ordered_at), ordered_at) AS waited_days
    FROM orders
    WHERE status = 'paid' AND email IS NOT NULL
)
SELECT
    rank() OVER (ORDER BY sum(total) DESC, customer) AS place,
    customer,
    arg_max(name, ordered_at) AS name,
    arg_max(country, ordered_at) AS country,
    count(*) AS orders,
    count(DISTINCT shop) AS shops,
    sum(total) AS revenue,
    min(ordered_at) AS first_order,
    max(ordered_at) AS last_order,
    round(avg(waited_days), 1) AS waits_days
FROM paid
GROUP BY customer
