SELECT bucket, version, delay AS bin, CAST(sum(weight) AS BIGINT) AS n
FROM outcome_rows
WHERE label IS NOT NULL
GROUP BY bucket, version, delay
