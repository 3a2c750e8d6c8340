-- how far the data of one deployment reaches, as known at $end. $upto is $end, or the end of its
-- hour where that holds nothing later; else the hour comes from the raw rows
SELECT
    min(bucket) AS first_bucket,
    greatest(
        max(CASE WHEN bucket < date_trunc('hour', CAST($upto AS TIMESTAMP)) THEN last_ts END),
        (SELECT max(ts) FROM {schema}.predictions
            WHERE ts >= date_trunc('hour', CAST($upto AS TIMESTAMP)) AND ts < $upto)
    ) AS last_ts,
    CASE WHEN max(last_received) <= $end THEN max(last_received)
        ELSE (SELECT max(received) FROM {schema}.labels WHERE received <= $end) END
        AS last_received,
    CAST(coalesce(sum(
        CASE WHEN bucket < date_trunc('hour', CAST($upto AS TIMESTAMP)) THEN n ELSE 0 END), 0)
        + (SELECT count(*) FROM {schema}.predictions
            WHERE ts >= date_trunc('hour', CAST($upto AS TIMESTAMP)) AND ts < $upto)
        AS BIGINT) AS n,
    CAST(coalesce(sum(CASE WHEN built THEN 0 ELSE 1 END), 0) AS BIGINT) AS n_unbuilt
FROM {schema}.buckets
WHERE bucket < $upto
