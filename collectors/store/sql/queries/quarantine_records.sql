SELECT kind, reason, detail, source, position, left(content, 2000) AS content, at_time
FROM quarantine
WHERE deployment = $deployment
ORDER BY at_time DESC, source, position
LIMIT $most
