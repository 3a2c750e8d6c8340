-- how far the data of one deployment reaches; hours after $as_of do not exist yet
SELECT
    min(bucket) AS first_bucket,
    max(last_ts) AS last_ts,
    max(last_received) AS last_received,
    CAST(coalesce(sum(n), 0) AS BIGINT) AS n,
    CAST(coalesce(sum(CASE WHEN built THEN 0 ELSE 1 END), 0) AS BIGINT) AS n_unbuilt
FROM {schema}.buckets
WHERE bucket < $end
