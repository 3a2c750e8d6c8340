CREATE OR REPLACE TEMP TABLE outcome_cells AS
SELECT
    bucket, version, {keys} predicted, label AS actual,
    sum(weight) AS n,
    sum(CASE WHEN label IS NOT NULL THEN weight * log_loss ELSE 0 END) AS log_loss_sum,
    sum(CASE WHEN label IS NOT NULL THEN weight * brier ELSE 0 END) AS brier_sum,
    sum(CASE WHEN label IS NOT NULL AND fallback_predicted IS NOT NULL
        THEN weight ELSE 0 END) AS n_fallback,
    sum(CASE WHEN fallback_predicted = label THEN weight ELSE 0 END) AS fallback_right
FROM outcome_rows
WHERE predicted IS NOT NULL
GROUP BY bucket, version, {keys} predicted, label
