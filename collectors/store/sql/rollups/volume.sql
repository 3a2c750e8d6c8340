SELECT {bucket5} AS bucket, version,
    count(*) AS n,
    CAST(sum(CASE WHEN error IS NOT NULL THEN 1 ELSE 0 END) AS BIGINT) AS n_error,
    CAST(sum(CASE WHEN cost < 1e150 AND cost > -1e150 THEN 1 ELSE 0 END) AS BIGINT) AS n_cost,
    sum(CASE WHEN cost < 1e150 AND cost > -1e150 THEN cost ELSE 0 END) AS cost_sum
FROM {source} AS r
GROUP BY {bucket5}, version
