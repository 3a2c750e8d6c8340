SELECT version, feature, bin, CAST(sum(n) AS BIGINT) AS n
FROM {schema}.reference_feature
GROUP BY ALL
ORDER BY version, feature, bin
