SELECT date_trunc('hour', ts) AS bucket, version, CAST({feature} AS SMALLINT) AS feature,
    {column} AS x, {edges} AS edges, {start}
FROM {source} AS r
WHERE error IS NULL
