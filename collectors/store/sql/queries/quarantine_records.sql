SELECT kind, reason, detail, source, position, left(content, CAST($longest AS INTEGER)) AS content,
    at_time
FROM quarantine
WHERE deployment = $deployment
    AND (CAST($as_of AS TIMESTAMP) IS NULL OR at_time <= CAST($as_of AS TIMESTAMP))
    AND (CAST($reason AS VARCHAR) IS NULL OR reason = CAST($reason AS VARCHAR))
    AND (CAST($kind AS VARCHAR) IS NULL OR kind = CAST($kind AS VARCHAR))
ORDER BY at_time DESC, source, position
LIMIT $most
