SELECT
    bucket, version,
    CAST({segment} AS SMALLINT) AS segment, {value} AS value, {value2} AS value2,
    CAST(sum(n) AS BIGINT) AS n,
    CAST(sum(n_labelled) AS BIGINT) AS n_labelled,
    sum(prediction_sum) AS prediction_sum,
    sum(y_sum) AS y_sum, sum(y_sq) AS y_sq,
    sum(e_sum) AS e_sum, sum(e_abs) AS e_abs, sum(e_sq) AS e_sq, sum(e_quad) AS e_quad,
    sum(ape_sum) AS ape_sum, sum(ape_sq) AS ape_sq,
    CAST(sum(n_ape) AS BIGINT) AS n_ape,
    CAST(sum(n_fallback) AS BIGINT) AS n_fallback,
    sum(fallback_e_sum) AS fallback_e_sum, sum(fallback_e_abs) AS fallback_e_abs,
    sum(fallback_e_sq) AS fallback_e_sq
FROM outcome_cells
GROUP BY bucket, version {group}
