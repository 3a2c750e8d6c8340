-- the newest changes of the serving system within the window, and how many there are
SELECT ts, kind, subject, detail, CAST(count(*) OVER () AS BIGINT) AS n_found
FROM change_events
WHERE deployment = $deployment AND ts >= $start AND ts < $end AND ts <= $as_of
ORDER BY ts DESC, kind, subject, detail
LIMIT $most
