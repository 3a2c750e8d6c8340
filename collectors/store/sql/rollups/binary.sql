SELECT
    bucket, version,
    CAST({segment} AS SMALLINT) AS segment, {value} AS value, {value2} AS value2,
    CAST({bin} AS SMALLINT) AS bin, predicted,
    CAST(sum(n) AS BIGINT) AS n,
    CAST(sum(n_labelled) AS BIGINT) AS n_labelled,
    CAST(sum(n_positive) AS BIGINT) AS n_positive,
    sum(score_sum) AS score_sum,
    sum(labelled_score_sum) AS labelled_score_sum,
    sum(labelled_score_sq) AS labelled_score_sq,
    sum(positive_score_sum) AS positive_score_sum,
    sum(log_loss_sum) AS log_loss_sum,
    {fallback_sums}
FROM outcome_cells
GROUP BY bucket, version, {group} {bin}, predicted
