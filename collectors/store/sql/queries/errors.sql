SELECT version, bin, CAST(sum(n) AS BIGINT) AS n
FROM {rollup_error} AS r
WHERE bucket >= $start AND bucket < $end
GROUP BY ALL
HAVING sum(n) <> 0
ORDER BY version, bin
