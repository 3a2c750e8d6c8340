-- All categorical features: counted by value first, so that few rows meet the known categories.
SELECT g.bucket, g.version, g.feature,
    CASE WHEN g.x IS NULL THEN -1 WHEN b.bin IS NULL THEN -3 ELSE b.bin END AS bin,
    CAST(sum(g.n) AS BIGINT) AS n,
    CAST(0 AS DOUBLE) AS value_sum, CAST(0 AS DOUBLE) AS value_sq,
    CAST(NULL AS DOUBLE) AS value_min, CAST(NULL AS DOUBLE) AS value_max
FROM ({counts}) AS g
LEFT JOIN (
    SELECT feature, category, bin FROM bins
    WHERE deployment = {deployment} AND category IS NOT NULL
) AS b ON b.feature = g.feature AND b.category = g.x
GROUP BY g.bucket, g.version, g.feature,
    CASE WHEN g.x IS NULL THEN -1 WHEN b.bin IS NULL THEN -3 ELSE b.bin END
