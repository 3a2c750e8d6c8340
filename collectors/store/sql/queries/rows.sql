-- raw predictions of a window with their latest label as known at $as_of, and how many there are
WITH labels AS ({labels}),
chosen AS (
    SELECT id, ts, version, {columns}, batch
    FROM {schema}.predictions
    WHERE ts >= $start AND ts < $end AND ts <= $as_of
        AND (CAST($version AS VARCHAR) IS NULL OR version = CAST($version AS VARCHAR)){filters}
),
found AS (
    SELECT r.*, l.value AS label, l.received
    FROM chosen AS r LEFT JOIN labels AS l ON l.id = r.id AND l.ts = r.ts
)
SELECT *, CAST(count(*) OVER () AS BIGINT) AS n_found,
    (SELECT min(source) FROM batches AS b WHERE b.batch = f.batch) AS source
FROM found AS f
WHERE {kind}
ORDER BY {order}, id
LIMIT $most
