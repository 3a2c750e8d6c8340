-- how a plane's replicas split traffic at each look, oldest first
SELECT ts, replica, arm, weight, n, n_error, problem
FROM split_readings
WHERE deployment = $deployment AND ts >= $start AND ts < $end
ORDER BY ts, replica, arm
