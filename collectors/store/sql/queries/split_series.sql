-- the same by steps of so many seconds since $start: the last weight in each that was read, what it
-- was between, requests, and how many looks there were and found a problem
SELECT
    CAST($start AS TIMESTAMP)
        + to_microseconds(step * CAST(CAST($seconds AS DOUBLE) * 1000000 AS BIGINT)) AS ts,
    replica, arm, arg_max(weight, ts) AS weight, min(weight) AS lowest, max(weight) AS highest,
    CAST(if(sum(n) > 9223372036854775807, 9223372036854775807, sum(n)) AS BIGINT) AS n,
    CAST(if(sum(n_error) > 9223372036854775807, 9223372036854775807, sum(n_error)) AS BIGINT)
        AS n_error,
    CAST(count(*) AS BIGINT) AS n_readings,
    CAST(count(*) FILTER (WHERE problem <> '') AS BIGINT) AS n_problem,
    coalesce(arg_max(problem, ts) FILTER (WHERE problem <> ''), '') AS problem
FROM (
    SELECT *, (epoch_us(ts) - epoch_us(CAST($start AS TIMESTAMP)))
        // CAST(CAST($seconds AS DOUBLE) * 1000000 AS BIGINT) AS step
    FROM split_readings
    WHERE deployment = $deployment AND ts >= $start AND ts < $end
) AS r
GROUP BY step, replica, arm
ORDER BY ts, replica, arm
