SELECT {step} AS start, version, feature, bin,
    CAST(sum(n) AS BIGINT) AS n,
    sum(value_sum) AS value_sum,
    sum(value_sq) AS value_sq,
    min(value_min) AS value_min,
    max(value_max) AS value_max
FROM {rollup_feature} AS r
WHERE bucket >= $start AND bucket < $end AND feature >= $first AND feature <= $last
GROUP BY ALL
ORDER BY start, version, feature, bin
