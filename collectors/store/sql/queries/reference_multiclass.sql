SELECT version, segment, value, value2, predicted, actual,
    {outcome_sums}
FROM {schema}.reference_multiclass AS r
WHERE segment >= $first AND segment <= $last
GROUP BY ALL
HAVING sum(n) <> 0
ORDER BY version, segment, value, value2, predicted, actual
