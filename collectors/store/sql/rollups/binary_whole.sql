-- the whole, from its own cells: score bins as fine as they are frozen
SELECT
    bucket, version,
    CAST(0 AS SMALLINT) AS segment, '' AS value, '' AS value2,
    bin, predicted,
    CAST(n AS BIGINT) AS n,
    CAST(n_labelled AS BIGINT) AS n_labelled,
    CAST(n_positive AS BIGINT) AS n_positive,
    score_sum, labelled_score_sum, labelled_score_sq, positive_score_sum, log_loss_sum,
    CAST(fallback_tp AS BIGINT) AS fallback_tp,
    CAST(fallback_fp AS BIGINT) AS fallback_fp,
    CAST(fallback_fn AS BIGINT) AS fallback_fn,
    CAST(fallback_tn AS BIGINT) AS fallback_tn
FROM ({cells}) AS c
