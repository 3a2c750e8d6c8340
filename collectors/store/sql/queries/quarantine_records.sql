SELECT kind, reason, detail, source, position, left(content, 2000) AS content, at_time
FROM quarantine
WHERE deployment = $deployment
    AND (CAST($as_of AS TIMESTAMP) IS NULL OR at_time <= CAST($as_of AS TIMESTAMP))
ORDER BY at_time DESC, source, position
LIMIT $most
