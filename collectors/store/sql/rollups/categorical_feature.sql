SELECT g.bucket, g.version, CAST({feature} AS SMALLINT) AS feature,
    CASE WHEN g.x IS NULL THEN -1 WHEN b.bin IS NULL THEN -3 ELSE b.bin END AS bin,
    CAST(sum(g.n) AS BIGINT) AS n,
    CAST(0 AS DOUBLE) AS value_sum, CAST(0 AS DOUBLE) AS value_sq,
    CAST(NULL AS DOUBLE) AS value_min, CAST(NULL AS DOUBLE) AS value_max
FROM (
    SELECT date_trunc('hour', ts) AS bucket, version, CAST({column} AS VARCHAR) AS x, count(*) AS n
    FROM {source} AS r
    WHERE error IS NULL
    GROUP BY date_trunc('hour', ts), version, CAST({column} AS VARCHAR)
) AS g
LEFT JOIN (SELECT category, bin FROM bins WHERE deployment = {deployment} AND feature = {feature})
    AS b ON b.category = g.x
GROUP BY g.bucket, g.version,
    CASE WHEN g.x IS NULL THEN -1 WHEN b.bin IS NULL THEN -3 ELSE b.bin END
