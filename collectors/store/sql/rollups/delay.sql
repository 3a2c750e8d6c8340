SELECT bucket, version,
    CAST(CASE WHEN received < ts THEN 0
        ELSE floor(8 * ln(1 + date_diff('second', ts, received))) END AS SMALLINT) AS bin,
    CAST(sum(weight) AS BIGINT) AS n
FROM outcome_rows
WHERE label IS NOT NULL
GROUP BY bucket, version, CAST(CASE WHEN received < ts THEN 0
    ELSE floor(8 * ln(1 + date_diff('second', ts, received))) END AS SMALLINT)
