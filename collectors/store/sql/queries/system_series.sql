WITH samples AS (
    SELECT ts AS bucket, metric, version, value
    FROM system_metrics
    WHERE deployment = $deployment AND ts >= $start AND ts < $end
        AND (CAST($metric AS VARCHAR) IS NULL OR metric = CAST($metric AS VARCHAR))
), shown AS (
    SELECT metric, version
    FROM samples
    GROUP BY metric, version
    ORDER BY list_contains(from_json(CAST($first AS JSON), '["VARCHAR"]'), metric) DESC,
        count(*) DESC, metric, version
    LIMIT CAST($most AS BIGINT)
)
SELECT {step} AS start, metric, version, CAST(count(*) AS BIGINT) AS n, avg(value) AS mean,
    min(value) AS lowest, max(value) AS highest
FROM samples SEMI JOIN shown USING (metric, version)
GROUP BY ALL
ORDER BY metric, version, start
