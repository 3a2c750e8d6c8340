-- every statement of a label about one prediction, as known at $as_of
SELECT value, received, event, labeller
FROM {schema}.labels
WHERE id = $id AND ts = $ts AND received <= $as_of
ORDER BY received
