-- categories whose bin has rows in the reference of a version; rare ones share a bin
CREATE OR REPLACE TABLE {schema}.reference_category AS
SELECT r.feature, CAST(v.place AS INTEGER) AS place, b.category
FROM (VALUES {versions}) AS v(place, version)
JOIN {schema}.reference_feature AS r ON r.version = v.version
JOIN bins AS b ON b.feature = r.feature AND b.bin = r.bin
WHERE r.n > 0 AND b.deployment = {deployment} AND b.category IS NOT NULL
ORDER BY ALL
