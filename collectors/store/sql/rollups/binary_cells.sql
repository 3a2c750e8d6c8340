-- Sums per score bin and predicted class, by any keys: by none it is the whole, by every segment at
-- once it is the finest cells, which the rollups of segments are sums over.
SELECT
    bucket, version, {keys} {bin} AS bin, predicted,
    CAST(sum(weight) AS INTEGER) AS n,
    CAST(sum(CASE WHEN label IS NOT NULL THEN weight ELSE 0 END) AS INTEGER) AS n_labelled,
    CAST(sum(CASE WHEN label = 1 THEN weight ELSE 0 END) AS INTEGER) AS n_positive,
    sum(CASE WHEN score IS NOT NULL THEN weight * score ELSE 0 END) AS score_sum,
    sum(CASE WHEN label IS NOT NULL AND score IS NOT NULL
        THEN weight * score ELSE 0 END) AS labelled_score_sum,
    sum(CASE WHEN label IS NOT NULL AND score IS NOT NULL
        THEN weight * score * score ELSE 0 END) AS labelled_score_sq,
    sum(CASE WHEN label = 1 AND score IS NOT NULL
        THEN weight * score ELSE 0 END) AS positive_score_sum,
    -- clipped as scikit-learn clips: a certain and wrong score costs 36, not infinity
    sum(CASE WHEN label = 1 AND score IS NOT NULL
            THEN -weight * ln(CASE WHEN score < 2.220446049250313e-16
                THEN 2.220446049250313e-16 ELSE score END)
        WHEN label = 0 AND score IS NOT NULL
            THEN -weight * ln(CASE WHEN 1 - score < 2.220446049250313e-16
                THEN 2.220446049250313e-16 ELSE 1 - score END)
        ELSE 0 END) AS log_loss_sum,
    {fallback_cells}
FROM {source}
WHERE predicted IS NOT NULL
GROUP BY bucket, version, {keys} {bin}, predicted
