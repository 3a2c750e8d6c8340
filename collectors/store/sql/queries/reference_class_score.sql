SELECT version, class, bin, predicted,
    CAST(sum(n) AS BIGINT) AS n,
    CAST(sum(n_labelled) AS BIGINT) AS n_labelled,
    CAST(sum(n_positive) AS BIGINT) AS n_positive,
    sum(labelled_score_sum) AS labelled_score_sum,
    sum(labelled_score_sq) AS labelled_score_sq,
    sum(positive_score_sum) AS positive_score_sum
FROM {schema}.reference_class_score AS r
GROUP BY ALL
HAVING sum(n) <> 0
ORDER BY version, class, bin, predicted
