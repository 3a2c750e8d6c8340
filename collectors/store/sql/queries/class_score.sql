SELECT {step} AS start, version, class, bin, predicted,
    CAST(sum(n) AS BIGINT) AS n,
    CAST(sum(n_labelled) AS BIGINT) AS n_labelled,
    CAST(sum(n_positive) AS BIGINT) AS n_positive,
    sum(labelled_score_sum) AS labelled_score_sum,
    sum(labelled_score_sq) AS labelled_score_sq,
    sum(positive_score_sum) AS positive_score_sum
FROM {rollup_class_score} AS r
WHERE bucket >= $start AND bucket < $end
GROUP BY ALL
HAVING sum(n) <> 0
ORDER BY start, version, class, bin, predicted
