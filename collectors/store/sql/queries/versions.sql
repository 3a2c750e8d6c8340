SELECT version, min(bucket) AS first_seen, max(bucket) AS last_seen, CAST(sum(n) AS BIGINT) AS n
FROM {rollup_volume} AS r
WHERE bucket < $end
GROUP BY version
ORDER BY version
