SELECT version, segment, value, value2, {outcome_keys} {outcome_sums}
FROM {schema}.{reference_outcome} AS r
WHERE segment >= $first AND segment <= $last
GROUP BY ALL
HAVING sum(n) <> 0
ORDER BY version, segment, value, value2 {then_keys}
