-- The score as a feature, from rows whose score has its bin already; a score is finite.
SELECT bucket, version, CAST({feature} AS SMALLINT) AS feature, bin,
    count(*) AS n,
    coalesce(sum(score), 0) AS value_sum,
    coalesce(sum(score * score), 0) AS value_sq,
    min(score) AS value_min,
    max(score) AS value_max
FROM outcome_rows
GROUP BY bucket, version, bin
