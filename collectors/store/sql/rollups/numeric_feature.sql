SELECT bucket, version, CAST({feature} AS SMALLINT) AS feature, CAST(bin AS SMALLINT) AS bin,
    count(*) AS n,
    -- sums leave out what a square would push past the largest number
    sum(CASE WHEN x > -1e150 AND x < 1e150 THEN x ELSE 0 END) AS value_sum,
    sum(CASE WHEN x > -1e150 AND x < 1e150 THEN x * x ELSE 0 END) AS value_sq,
    min(CASE WHEN bin >= 0 THEN x END) AS value_min,
    max(CASE WHEN bin >= 0 THEN x END) AS value_max
FROM (
    SELECT date_trunc('hour', ts) AS bucket, version, {column} AS x,
        CASE WHEN {column} IS NULL THEN -1
            WHEN {column} < -1.7e308 THEN -2
            WHEN {column} <= 1.7e308 THEN {bins}
            ELSE -2 END AS bin
    FROM {source} AS r
    WHERE error IS NULL
) AS binned
GROUP BY bucket, version, bin
