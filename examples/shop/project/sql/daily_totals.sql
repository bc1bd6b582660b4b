-- What each shop took on each day, beside the day before. Late orders count on the day they were placed.
WITH totals AS (
    SELECT
        CAST(ordered_at AS DATE) AS day,
        shop,
        count(*) FILTER (status = 'paid') AS orders,
        coalesce(sum(total) FILTER (status = 'paid'), 0) AS revenue,
        count(*) FILTER (status = 'refunded') AS refunded
    FROM orders
    GROUP BY ALL
),
came_back AS (SELECT shop, CAST(returned_on AS DATE) AS day, count(*) AS returned FROM returns GROUP BY ALL)
SELECT
    totals.*,
    coalesce(returned, 0) AS returned,
    revenue - lag(revenue) OVER (PARTITION BY shop ORDER BY day) AS more_than_the_day_before
FROM totals
LEFT JOIN came_back USING (shop, day)
