SELECT kind, reason,
    CAST(count(*) AS BIGINT) AS n,
    CAST(count(*) FILTER (CAST($start AS TIMESTAMP) IS NULL
        OR at_time > CAST($start AS TIMESTAMP)) AS BIGINT) AS n_recent,
    min(source) AS source,
    min(position) AS position,
    max(at_time) AS at_time
FROM quarantine
WHERE deployment = $deployment
    AND (CAST($as_of AS TIMESTAMP) IS NULL OR at_time <= CAST($as_of AS TIMESTAMP))
GROUP BY kind, reason
ORDER BY n DESC, kind, reason
