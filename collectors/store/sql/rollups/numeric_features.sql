-- Numeric features, one below the other in `values`: grouped together, in one pass.
SELECT bucket, version, feature, CAST(bin AS SMALLINT) AS bin,
    count(*) AS n,
    -- sums leave out what a square would push past the largest number
    sum(CASE WHEN x > -1e150 AND x < 1e150 THEN x ELSE 0 END) AS value_sum,
    sum(CASE WHEN x > -1e150 AND x < 1e150 THEN x * x ELSE 0 END) AS value_sq,
    min(CASE WHEN bin >= 0 THEN x END) AS value_min,
    max(CASE WHEN bin >= 0 THEN x END) AS value_max
FROM (
    SELECT bucket, version, feature, x,
        CASE WHEN x IS NULL THEN -1
            WHEN x < -1.7e308 THEN -2
            WHEN x <= 1.7e308 THEN {place}
            ELSE -2 END AS bin
    FROM ({values}) AS v
) AS binned
GROUP BY bucket, version, feature, bin
