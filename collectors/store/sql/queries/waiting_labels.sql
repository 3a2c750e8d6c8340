SELECT CAST(count(*) AS BIGINT) AS n, min(received) AS oldest FROM {schema}.waiting_labels
