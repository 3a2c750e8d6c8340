SELECT {step} AS start, version, bin, CAST(sum(n) AS BIGINT) AS n
FROM {rollup_delay} AS r
WHERE bucket >= $start AND bucket < $end
GROUP BY ALL
HAVING sum(n) <> 0
ORDER BY start, version, bin
