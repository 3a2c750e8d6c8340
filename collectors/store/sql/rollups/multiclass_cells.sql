SELECT
    bucket, version, {keys} predicted, actual,
    sum(weight) AS n,
    -- labelled, with a probability for each class
    sum(CASE WHEN log_loss IS NOT NULL THEN weight ELSE 0 END) AS n_scored,
    sum(CASE WHEN log_loss IS NOT NULL THEN weight * log_loss ELSE 0 END) AS log_loss_sum,
    sum(CASE WHEN brier IS NOT NULL THEN weight * brier ELSE 0 END) AS brier_sum,
    sum(CASE WHEN label IS NOT NULL AND fallback_predicted IS NOT NULL
        THEN weight ELSE 0 END) AS n_fallback,
    sum(CASE WHEN fallback_predicted = label THEN weight ELSE 0 END) AS fallback_right
FROM {source}
WHERE predicted IS NOT NULL
GROUP BY bucket, version, {keys} predicted, actual
