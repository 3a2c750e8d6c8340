SELECT {step} AS start, version, bin, CAST(sum(n) AS BIGINT) AS n
FROM {rollup_latency} AS r
WHERE bucket >= $start AND bucket < $end
GROUP BY ALL
ORDER BY start, version, bin
