SELECT version, feature AS segment,
    CASE condition WHEN 1 THEN 'missing' ELSE 'outside' END AS value, '' AS value2,
    {outcome_keys} {outcome_sums}
FROM {schema}.reference_condition AS r
WHERE feature >= $first AND feature <= $last
GROUP BY ALL
HAVING sum(n) <> 0
ORDER BY version, segment, value {then_keys}
