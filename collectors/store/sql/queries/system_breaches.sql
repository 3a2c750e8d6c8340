WITH limits AS (
    SELECT unnest(from_json(CAST($limits AS JSON),
        '[{"metric": "VARCHAR", "above": "DOUBLE", "below": "DOUBLE"}]'), max_depth := 2)
), judged AS (
    SELECT s.metric, s.version, s.ts, s.value, l.above,
        coalesce(s.value > l.above, false) OR coalesce(s.value < l.below, false) AS beyond
    FROM system_metrics AS s JOIN limits AS l ON l.metric = s.metric
    WHERE s.deployment = $deployment AND s.ts >= $start AND s.ts < $end
), numbered AS (
    -- samples beyond the limit that follow each other have the same number of kept ones before them
    SELECT *, count(*) FILTER (NOT beyond) OVER earlier AS stretch,
        lead(ts) OVER (PARTITION BY metric, version ORDER BY ts, value) AS next_ts
    FROM judged
    WINDOW earlier AS (PARTITION BY metric, version ORDER BY ts, value
                       ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
), stretches AS (
    SELECT metric, version, min(ts) AS since, max(ts) AS last_beyond,
        CASE WHEN bool_or(next_ts IS NULL) THEN NULL ELSE max(next_ts) END AS until,
        max(value) AS highest, min(value) AS lowest, count(*) AS n
    FROM numbered
    WHERE beyond
    GROUP BY metric, version, stretch
)
SELECT metric, version, CAST(count(*) AS BIGINT) AS n_times, CAST(sum(n) AS BIGINT) AS n_beyond,
    min(since) AS first_since, max(since) AS since, last(until ORDER BY since) AS until,
    max(last_beyond) AS last_beyond, max(highest) AS highest, min(lowest) AS lowest,
    sum(date_diff('microsecond', since, coalesce(until, last_beyond))) / 1e6 AS seconds
FROM stretches
GROUP BY metric, version
ORDER BY metric, version
