-- hours of a window that have no raw rows and got a row or, if those count, a label after $as_of
SELECT CAST(count(*) AS BIGINT) AS n, min(bucket) AS first_bucket
FROM {schema}.buckets
WHERE bucket >= date_trunc('hour', CAST($start AS TIMESTAMP))
    AND bucket < least(CAST($end AS TIMESTAMP), CAST($sealed AS TIMESTAMP))
    AND ((CAST($labels AS BOOLEAN) AND last_received > CAST($as_of AS TIMESTAMP))
        OR last_ts >= CAST($as_of AS TIMESTAMP))
