SELECT version, segment, value, value2,
    {outcome_sums}
FROM {schema}.reference_regression AS r
WHERE segment >= $first AND segment <= $last
GROUP BY ALL
HAVING sum(n) <> 0
ORDER BY version, segment, value, value2
