-- versions seen before $upto: the moment asked for, or the end of its hour where that holds nothing
-- later; else the hour comes from the raw rows, where the others are still apart
SELECT version, min(bucket) AS first_seen, max(bucket) AS last_seen, CAST(sum(n) AS BIGINT) AS n
FROM (
    SELECT bucket, version, n FROM {rollup_volume} AS r
    WHERE bucket < date_trunc('hour', CAST($upto AS TIMESTAMP))
    UNION ALL
    SELECT date_trunc('minute', ts) - (minute(ts) % 5) * INTERVAL 1 MINUTE AS bucket,
        CASE WHEN version IN (
            SELECT value FROM segment_values WHERE deployment = $deployment AND segment = -2
        ) THEN version ELSE '(other)' END AS version, 1
    FROM {schema}.predictions
    WHERE ts >= date_trunc('hour', CAST($upto AS TIMESTAMP)) AND ts < $upto
) AS seen
GROUP BY version
ORDER BY version
