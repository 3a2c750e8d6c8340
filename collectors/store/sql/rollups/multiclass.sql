SELECT
    bucket, version,
    CAST({segment} AS SMALLINT) AS segment, {value} AS value, {value2} AS value2,
    predicted, actual,
    CAST(sum(n) AS BIGINT) AS n,
    CAST(sum(n_scored) AS BIGINT) AS n_scored,
    sum(log_loss_sum) AS log_loss_sum,
    sum(brier_sum) AS brier_sum,
    CAST(sum(n_fallback) AS BIGINT) AS n_fallback,
    CAST(sum(fallback_right) AS BIGINT) AS fallback_right
FROM outcome_cells
GROUP BY bucket, version, {group} predicted, actual
