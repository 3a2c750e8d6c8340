-- columns of the task's outcomes; segment: the feature's number
SELECT {step} AS start, version, feature AS segment,
    CASE condition WHEN 1 THEN 'missing' ELSE 'outside' END AS value, '' AS value2,
    {outcome_keys} {outcome_sums}
FROM {rollup_condition} AS r
WHERE bucket >= $start AND bucket < $end AND feature >= $first AND feature <= $last
GROUP BY ALL
HAVING sum(n) <> 0
ORDER BY start, version, segment, value {then_keys}
