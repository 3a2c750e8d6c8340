SELECT {step} AS start, version, segment, value, value2,
    {outcome_sums}
FROM {rollup_regression} AS r
WHERE bucket >= $start AND bucket < $end AND segment >= $first AND segment <= $last
GROUP BY ALL
HAVING sum(n) <> 0
ORDER BY start, version, segment, value, value2
