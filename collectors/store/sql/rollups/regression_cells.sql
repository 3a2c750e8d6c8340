-- APE leaves out a truth of zero, and one so small that the square would not be finite.
SELECT
    bucket, version, {keys}
    sum(weight) AS n,
    sum(CASE WHEN error_value IS NOT NULL THEN weight ELSE 0 END) AS n_labelled,
    sum(weight * prediction) AS prediction_sum,
    sum(CASE WHEN error_value IS NOT NULL THEN weight * actual ELSE 0 END) AS y_sum,
    sum(CASE WHEN error_value IS NOT NULL THEN weight * actual * actual ELSE 0 END) AS y_sq,
    sum(CASE WHEN error_value IS NOT NULL THEN weight * error_value ELSE 0 END) AS e_sum,
    sum(CASE WHEN error_value IS NOT NULL THEN weight * abs(error_value) ELSE 0 END) AS e_abs,
    sum(CASE WHEN error_value IS NOT NULL
        THEN weight * error_value * error_value ELSE 0 END) AS e_sq,
    sum(CASE WHEN error_value IS NOT NULL
        THEN weight * power(error_value, 4) ELSE 0 END) AS e_quad,
    sum(CASE WHEN error_value IS NOT NULL AND abs(error_value / nullif(actual, 0)) < 1e75
        THEN weight * abs(error_value / actual) ELSE 0 END) AS ape_sum,
    sum(CASE WHEN error_value IS NOT NULL AND abs(error_value / nullif(actual, 0)) < 1e75
        THEN weight * power(error_value / actual, 2) ELSE 0 END) AS ape_sq,
    sum(CASE WHEN error_value IS NOT NULL AND abs(error_value / nullif(actual, 0)) < 1e75
        THEN weight ELSE 0 END) AS n_ape,
    sum(CASE WHEN fallback_error IS NOT NULL THEN weight ELSE 0 END) AS n_fallback,
    sum(CASE WHEN fallback_error IS NOT NULL
        THEN weight * fallback_error ELSE 0 END) AS fallback_e_sum,
    sum(CASE WHEN fallback_error IS NOT NULL
        THEN weight * abs(fallback_error) ELSE 0 END) AS fallback_e_abs,
    sum(CASE WHEN fallback_error IS NOT NULL
        THEN weight * fallback_error * fallback_error ELSE 0 END) AS fallback_e_sq
FROM {source}
GROUP BY bucket, version {group_keys}
