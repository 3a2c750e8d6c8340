SELECT version, feature, n, lowest, highest, mean, sigma, deciles
FROM {schema}.reference_profile
ORDER BY version, feature
