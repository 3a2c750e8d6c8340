SELECT version, segment, value, value2, bin, predicted,
    CAST(sum(n) AS BIGINT) AS n,
    CAST(sum(n_labelled) AS BIGINT) AS n_labelled,
    CAST(sum(n_positive) AS BIGINT) AS n_positive,
    sum(score_sum) AS score_sum,
    sum(labelled_score_sum) AS labelled_score_sum,
    sum(labelled_score_sq) AS labelled_score_sq,
    sum(positive_score_sum) AS positive_score_sum,
    sum(log_loss_sum) AS log_loss_sum,
    CAST(sum(fallback_tp) AS BIGINT) AS fallback_tp,
    CAST(sum(fallback_fp) AS BIGINT) AS fallback_fp,
    CAST(sum(fallback_fn) AS BIGINT) AS fallback_fn,
    CAST(sum(fallback_tn) AS BIGINT) AS fallback_tn
FROM {schema}.reference_binary AS r
WHERE segment >= $first AND segment <= $last
GROUP BY ALL
HAVING sum(n) <> 0
ORDER BY ALL
