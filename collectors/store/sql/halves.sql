-- Requests and responses whose other half has not come, or does not fit (batches of other size).
CREATE TABLE IF NOT EXISTS {schema}.halves (
    part VARCHAR NOT NULL,            -- request | response
    request VARCHAR NOT NULL,         -- what joins the two
    item BIGINT NOT NULL,             -- place in the batch, from 0
    items BIGINT NOT NULL,            -- rows of the batch; 0: an answer to all of them, an error
    id VARCHAR NOT NULL,
    ts TIMESTAMP,
    version VARCHAR NOT NULL,
    {columns},
    source VARCHAR NOT NULL,
    position BIGINT NOT NULL,
    batch BIGINT NOT NULL
);
