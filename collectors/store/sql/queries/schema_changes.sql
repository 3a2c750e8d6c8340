SELECT kind, column_name, change, CAST(sum(n) AS BIGINT) AS n, min(example) AS example,
    min(source) AS source, min(at_time) AS at_time
FROM schema_changes
WHERE deployment = $deployment
    AND (CAST($as_of AS TIMESTAMP) IS NULL OR at_time <= CAST($as_of AS TIMESTAMP))
GROUP BY kind, column_name, change
ORDER BY kind, change, column_name
