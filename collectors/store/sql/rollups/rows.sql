-- One row per prediction that can be judged, from any source of rows (an hour, a batch, a change
-- of labels with weight -1 and +1, the past as it was known): see rollups.py.
CREATE OR REPLACE TEMP TABLE outcome_rows AS
SELECT
    date_trunc('hour', ts) AS bucket,
    ts,
    version,
    weight,
    label,
    received,
    {segments}
    {values}
FROM {source} AS r
WHERE error IS NULL
