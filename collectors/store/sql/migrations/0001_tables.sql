-- Tables that all deployments share. Times are naive UTC.
CREATE TABLE deployments (
    deployment VARCHAR PRIMARY KEY,
    task VARCHAR NOT NULL,
    contract VARCHAR NOT NULL,        -- JSON of collectors.contract.Deployment
    rollup_key VARCHAR NOT NULL,      -- what the rollups were built with; differs -> rebuild
    bins_from BIGINT NOT NULL         -- rows that the bins were frozen from; 0: a reference, or none
);
CREATE TABLE source_offset (
    deployment VARCHAR,
    kind VARCHAR,
    source VARCHAR,
    position BIGINT NOT NULL,         -- bytes of text files, rows of Parquet files
    fingerprint VARCHAR NOT NULL,     -- tells a grown file from a replaced one
    records BIGINT NOT NULL,          -- records before `position`
    header VARCHAR NOT NULL,          -- a CSV file's first line
    PRIMARY KEY (deployment, kind, source)
);
CREATE TABLE batches (
    batch BIGINT NOT NULL,
    deployment VARCHAR NOT NULL,
    kind VARCHAR NOT NULL,
    source VARCHAR NOT NULL,
    from_position BIGINT NOT NULL,
    to_position BIGINT NOT NULL,
    n_read BIGINT NOT NULL,
    n_new BIGINT NOT NULL,
    n_duplicate BIGINT NOT NULL,
    n_waiting BIGINT NOT NULL,        -- labels whose prediction has not come
    n_quarantined BIGINT NOT NULL,
    loaded_at TIMESTAMP NOT NULL
);
CREATE TABLE quarantine (
    deployment VARCHAR NOT NULL,
    kind VARCHAR NOT NULL,
    batch BIGINT NOT NULL,
    source VARCHAR NOT NULL,
    position BIGINT NOT NULL,         -- record number in the source, from 1
    reason VARCHAR NOT NULL,
    detail VARCHAR NOT NULL,
    content VARCHAR NOT NULL,
    at_time TIMESTAMP NOT NULL
);
CREATE TABLE schema_changes (
    deployment VARCHAR NOT NULL,
    kind VARCHAR NOT NULL,
    source VARCHAR NOT NULL,
    column_name VARCHAR NOT NULL,
    change VARCHAR NOT NULL,          -- new | missing | mistyped
    n BIGINT NOT NULL,
    example VARCHAR NOT NULL,
    at_time TIMESTAMP NOT NULL
);
CREATE TABLE bins (
    deployment VARCHAR NOT NULL,
    feature SMALLINT NOT NULL,        -- -1 score, -2 prediction, 0.. features
    bin SMALLINT NOT NULL,
    upper DOUBLE,                     -- numeric: values <= upper and > the bin before; NULL: no end
    category VARCHAR                  -- categorical: one row per known value; several share "other"
);
CREATE TABLE segment_values (
    deployment VARCHAR NOT NULL,
    segment SMALLINT NOT NULL,        -- 0.. segments, -1 classes, -2 versions
    value VARCHAR NOT NULL
);
CREATE TABLE system_metrics (
    ts TIMESTAMP NOT NULL,
    deployment VARCHAR NOT NULL,
    metric VARCHAR NOT NULL,
    version VARCHAR NOT NULL,
    value DOUBLE NOT NULL,
    batch BIGINT NOT NULL
);
CREATE SEQUENCE batch_number;
