-- bins of the error: sign(e) * floor(8 ln(1 + |e|)), so about 13 % wide each
SELECT
    bucket, version,
    CAST(CASE WHEN error_value < 0 THEN -1 ELSE 1 END
        * (1 + floor(8 * ln(1 + abs(error_value)))) AS SMALLINT) AS bin,
    CAST(sum(weight) AS BIGINT) AS n
FROM outcome_rows
WHERE error_value IS NOT NULL
GROUP BY bucket, version, CAST(CASE WHEN error_value < 0 THEN -1 ELSE 1 END
    * (1 + floor(8 * ln(1 + abs(error_value)))) AS SMALLINT)
