WITH limits AS (
    SELECT unnest(from_json(CAST($limits AS JSON),
        '[{"metric": "VARCHAR", "above": "DOUBLE", "below": "DOUBLE"}]'), max_depth := 2)
), judged AS MATERIALIZED (
    SELECT s.metric, s.version, s.ts, s.value,
        coalesce(s.value > l.above, false) OR coalesce(s.value < l.below, false) AS beyond
    FROM system_metrics AS s JOIN limits AS l ON l.metric = s.metric
    WHERE s.deployment = $deployment AND s.ts >= $start AND s.ts < $end
), sums AS (
    SELECT metric, version, CAST(count(*) AS BIGINT) AS n_beyond, max(ts) AS last_beyond,
        max(value) AS highest, min(value) AS lowest
    FROM judged
    WHERE beyond
    GROUP BY metric, version
), turns AS (
    -- samples that begin a stretch beyond the limit, and those that end one: few of many
    SELECT metric, version, ts, value, beyond
    FROM judged SEMI JOIN sums USING (metric, version)
    QUALIFY beyond <> coalesce(
        lag(beyond) OVER (PARTITION BY metric, version ORDER BY ts, value), false)
), stretches AS (
    SELECT metric, version, ts AS since, beyond,
        lead(ts) OVER (PARTITION BY metric, version ORDER BY ts, value) AS until
    FROM turns
), times AS (
    SELECT metric, version, CAST(count(*) AS BIGINT) AS n_times, min(since) AS first_since,
        max(since) AS since, last(until ORDER BY since, until NULLS LAST) AS until
    FROM stretches
    WHERE beyond
    GROUP BY metric, version
), seconds AS (
    SELECT s.metric, s.version,
        sum(date_diff('microsecond', s.since, coalesce(s.until, t.last_beyond))) / 1e6 AS seconds
    FROM stretches AS s JOIN sums AS t ON t.metric = s.metric AND t.version = s.version
    WHERE s.beyond
    GROUP BY s.metric, s.version
)
SELECT metric, version, n_times, n_beyond, first_since, since, until, last_beyond, highest, lowest,
    seconds
FROM times JOIN sums USING (metric, version) JOIN seconds USING (metric, version)
ORDER BY metric, version
