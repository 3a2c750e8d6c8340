SELECT part, CAST(count(*) AS BIGINT) AS n, min(ts) AS oldest, min(source) AS source
FROM {schema}.halves
WHERE CAST($as_of AS TIMESTAMP) IS NULL OR ts IS NULL OR ts <= CAST($as_of AS TIMESTAMP)
GROUP BY part
ORDER BY part
