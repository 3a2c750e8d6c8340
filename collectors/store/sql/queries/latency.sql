SELECT version, bin, CAST(sum(n) AS BIGINT) AS n, sum(latency_sum) AS latency_sum
FROM {rollup_latency} AS r
WHERE bucket >= $start AND bucket < $end
GROUP BY ALL
ORDER BY version, bin
