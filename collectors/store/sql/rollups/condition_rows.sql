SELECT *, unnest(conditions) AS condition
FROM outcome_rows
WHERE conditions IS NOT NULL
