SELECT version, segment, value, value2, bin, predicted,
    {outcome_sums}
FROM {schema}.reference_binary AS r
WHERE segment >= $first AND segment <= $last
GROUP BY ALL
HAVING sum(n) <> 0
ORDER BY version, segment, value, value2, bin, predicted
