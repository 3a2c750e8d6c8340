SELECT {step} AS start, version,
    CAST(sum(n) AS BIGINT) AS n,
    CAST(sum(n_error) AS BIGINT) AS n_error,
    CAST(sum(n_cost) AS BIGINT) AS n_cost,
    sum(cost_sum) AS cost_sum
FROM {rollup_volume} AS r
WHERE bucket >= $start AND bucket < $end
GROUP BY ALL
ORDER BY start, version
