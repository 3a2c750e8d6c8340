SELECT {bucket5} AS bucket, version,
    CAST(CASE WHEN latency_ms < 0.001 THEN -56 ELSE floor(8 * ln(latency_ms)) END
        AS SMALLINT) AS bin,
    count(*) AS n, sum(latency_ms) AS latency_sum
FROM {source} AS r
WHERE latency_ms >= 0 AND latency_ms <= 1e12
GROUP BY {bucket5}, version, CAST(CASE WHEN latency_ms < 0.001 THEN -56
    ELSE floor(8 * ln(latency_ms)) END AS SMALLINT)
