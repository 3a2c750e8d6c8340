SELECT metric, version, CAST(count(*) AS BIGINT) AS n, avg(value) AS mean, max(value) AS highest,
    max(ts) AS last_ts
FROM system_metrics
WHERE deployment = $deployment AND ts >= $start AND ts < $end
GROUP BY metric, version
ORDER BY metric, version
