SELECT CAST(count(*) AS BIGINT) AS n, min(received) AS oldest
FROM {schema}.waiting_labels
WHERE CAST($as_of AS TIMESTAMP) IS NULL OR received <= CAST($as_of AS TIMESTAMP)
