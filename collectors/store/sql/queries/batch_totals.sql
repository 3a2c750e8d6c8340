-- records by what became of them, of the batches since a moment
SELECT kind,
    CAST(sum(n_read) AS BIGINT) AS n_read,
    CAST(sum(n_new) AS BIGINT) AS n_new,
    CAST(sum(n_duplicate) AS BIGINT) AS n_duplicate,
    CAST(sum(n_quarantined) AS BIGINT) AS n_quarantined
FROM batches
WHERE deployment = $deployment
    AND (CAST($since AS TIMESTAMP) IS NULL OR loaded_at > CAST($since AS TIMESTAMP))
    AND (CAST($as_of AS TIMESTAMP) IS NULL OR loaded_at <= CAST($as_of AS TIMESTAMP))
GROUP BY kind
ORDER BY kind
