SELECT kind, source,
    CAST(count(*) AS BIGINT) AS n_batches,
    CAST(sum(n_read) AS BIGINT) AS n_read,
    CAST(sum(n_new) AS BIGINT) AS n_new,
    CAST(sum(n_duplicate) AS BIGINT) AS n_duplicate,
    CAST(sum(n_waiting) AS BIGINT) AS n_waiting,
    CAST(sum(n_quarantined) AS BIGINT) AS n_quarantined,
    max(loaded_at) AS loaded_at
FROM batches
WHERE deployment = $deployment
    AND (CAST($as_of AS TIMESTAMP) IS NULL OR loaded_at <= CAST($as_of AS TIMESTAMP))
GROUP BY kind, source
ORDER BY kind, source
