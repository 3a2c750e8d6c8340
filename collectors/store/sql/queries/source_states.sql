SELECT kind, source, last_ok, n_failures, failing_since, problem, next_try
FROM source_state
WHERE deployment = $deployment
ORDER BY kind, source
