-- what retention has deleted, and up to when
SELECT what, before, at_time, n FROM retained WHERE deployment = $deployment ORDER BY what
