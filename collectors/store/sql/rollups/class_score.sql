SELECT
    bucket, version, CAST({number} AS SMALLINT) AS class, bin, predicted,
    CAST(sum(weight) AS BIGINT) AS n,
    CAST(sum(CASE WHEN label IS NOT NULL THEN weight ELSE 0 END) AS BIGINT) AS n_labelled,
    CAST(sum(CASE WHEN label = {class} THEN weight ELSE 0 END) AS BIGINT) AS n_positive,
    sum(CASE WHEN label IS NOT NULL THEN weight * score ELSE 0 END) AS labelled_score_sum,
    sum(CASE WHEN label IS NOT NULL THEN weight * score * score ELSE 0 END) AS labelled_score_sq,
    sum(CASE WHEN label = {class} THEN weight * score ELSE 0 END) AS positive_score_sum
FROM (
    SELECT bucket, version, weight, label, {column} AS score,
        CAST(floor({column} * 127.99) AS SMALLINT) AS bin,
        CAST(CASE WHEN predicted = {class} THEN 1 ELSE 0 END AS TINYINT) AS predicted
    FROM outcome_rows
    WHERE {column} >= 0 AND {column} <= 1
) AS scored
GROUP BY bucket, version, bin, scored.predicted
