SELECT {step} AS start, version, segment, value, value2, predicted, actual,
    CAST(sum(n) AS BIGINT) AS n,
    CAST(sum(n_scored) AS BIGINT) AS n_scored,
    sum(log_loss_sum) AS log_loss_sum,
    sum(brier_sum) AS brier_sum,
    CAST(sum(n_fallback) AS BIGINT) AS n_fallback,
    CAST(sum(fallback_right) AS BIGINT) AS fallback_right
FROM {rollup_multiclass} AS r
WHERE bucket >= $start AND bucket < $end AND segment >= $first AND segment <= $last
GROUP BY ALL
HAVING sum(n) <> 0
ORDER BY ALL
