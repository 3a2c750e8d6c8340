-- the task's outcomes, score bins added up
SELECT {step} AS start, version, segment, value, value2, {outcome_keys} {outcome_sums}
FROM {outcome} AS r
WHERE bucket >= $start AND bucket < $end AND segment >= $first AND segment <= $last
GROUP BY ALL
HAVING sum(n) <> 0
ORDER BY start, version, segment, value, value2 {then_keys}
