SELECT metric, version, CAST(count(*) AS BIGINT) AS n, avg(value) AS mean, min(value) AS lowest,
    max(value) AS highest, arg_max(value, ts) AS newest, max(ts) AS last_ts,
    CAST(count(*) OVER () AS BIGINT) AS n_series
FROM system_metrics
WHERE deployment = $deployment AND ts >= $start AND ts < $end
GROUP BY metric, version
ORDER BY list_contains(from_json(CAST($first AS JSON), '["VARCHAR"]'), metric) DESC, n DESC,
    metric, version
LIMIT CAST($most AS BIGINT)
