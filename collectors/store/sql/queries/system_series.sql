-- added up first and chosen afterwards: to join the samples with the chosen series costs 5 times more
WITH cells AS MATERIALIZED (
    SELECT {step} AS start, metric, version, CAST(count(*) AS BIGINT) AS n, avg(value) AS mean,
        min(value) AS lowest, max(value) AS highest
    FROM (
        SELECT ts AS bucket, metric, version, value
        FROM system_metrics
        WHERE deployment = $deployment AND ts >= $start AND ts < $end
            AND (CAST($metric AS VARCHAR) IS NULL OR metric = CAST($metric AS VARCHAR))
    ) AS samples
    GROUP BY ALL
), shown AS (
    SELECT metric, version
    FROM cells
    GROUP BY metric, version
    ORDER BY list_contains(from_json(CAST($first AS JSON), '["VARCHAR"]'), metric) DESC,
        sum(n) DESC, metric, version
    LIMIT CAST($most AS BIGINT)
)
SELECT start, metric, version, n, mean, lowest, highest
FROM cells SEMI JOIN shown USING (metric, version)
ORDER BY metric, version, start
