SELECT kind, reason,
    CAST(count(*) AS BIGINT) AS n,
    min(source) AS source,
    min(position) AS position,
    max(at_time) AS at_time
FROM quarantine
WHERE deployment = $deployment
GROUP BY kind, reason
ORDER BY n DESC, kind, reason
