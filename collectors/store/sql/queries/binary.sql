SELECT {step} AS start, version, segment, value, value2, bin, predicted,
    {outcome_sums}
FROM {rollup_binary} AS r
WHERE bucket >= $start AND bucket < $end AND segment >= $first AND segment <= $last
GROUP BY ALL
HAVING sum(n) <> 0
ORDER BY start, version, segment, value, value2, bin, predicted
