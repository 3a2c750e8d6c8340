-- One row per prediction that can be judged, from any source of rows (an hour, a batch, a change
-- of labels with weight -1 and +1, the past as it was known): see rollups.py.
CREATE OR REPLACE TEMP TABLE outcome_rows AS
SELECT
    date_trunc('hour', ts) AS bucket,
    {version} AS version,
    weight,
    label,
    CAST(CASE WHEN label IS NULL THEN NULL WHEN received < ts THEN 0
        ELSE floor(8 * ln(1 + date_diff('second', ts, received))) END AS SMALLINT) AS delay,
    {segments}
    {conditions} AS conditions,
    {values}
FROM ({rows}) AS r
