SELECT date_trunc('hour', ts) AS bucket, version, CAST({feature} AS SMALLINT) AS feature,
    CAST({column} AS VARCHAR) AS x, count(*) AS n
FROM {source} AS r
WHERE error IS NULL
GROUP BY date_trunc('hour', ts), version, {column}
