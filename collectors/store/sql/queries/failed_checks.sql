-- what failed rules on records by hour, and whole batches that failed
SELECT rule, subject, quarantined, bucket,
    CAST(sum(n) AS BIGINT) AS n,
    CAST(sum(n_failed) AS BIGINT) AS n_failed,
    min(first_ts) AS first_ts,
    max(last_ts) AS last_ts,
    min(at_time) AS at_time
FROM failed_checks
WHERE deployment = $deployment
    AND (CASE WHEN bucket IS NULL
        THEN CAST($since AS TIMESTAMP) IS NULL OR at_time > CAST($since AS TIMESTAMP)
        ELSE bucket >= date_trunc('hour', CAST($start AS TIMESTAMP)) AND bucket < $end END)
    AND (CAST($as_of AS TIMESTAMP) IS NULL OR at_time <= CAST($as_of AS TIMESTAMP))
GROUP BY ALL
ORDER BY rule, subject, quarantined, bucket
