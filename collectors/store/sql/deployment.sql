-- Tables of one deployment, in a schema of its own; its typed columns come from the contract.
CREATE SCHEMA {schema};
CREATE TABLE {schema}.predictions (
    id VARCHAR NOT NULL,
    ts TIMESTAMP NOT NULL,
    version VARCHAR NOT NULL,
    {columns},
    batch BIGINT NOT NULL
);
CREATE TABLE {schema}.reference (
    id VARCHAR,
    ts TIMESTAMP,
    version VARCHAR NOT NULL,
    {columns},
    label {label_type},
    batch BIGINT NOT NULL
);
CREATE TABLE {schema}.labels (
    id VARCHAR NOT NULL,
    ts TIMESTAMP NOT NULL,            -- the prediction's time: labels are filtered with it
    value {label_type} NOT NULL,
    received TIMESTAMP NOT NULL,
    event TIMESTAMP,
    labeller VARCHAR,
    batch BIGINT NOT NULL
);
CREATE TABLE {schema}.waiting_labels (
    id VARCHAR NOT NULL,
    value {label_type} NOT NULL,
    received TIMESTAMP NOT NULL,
    event TIMESTAMP,
    labeller VARCHAR,
    batch BIGINT NOT NULL
);
-- One row per hour that has predictions. changes > 0: the hour's rollups hold additions since they
-- were last recomputed; built = false: they wait for a first build after a change of bins.
CREATE TABLE {schema}.buckets (
    bucket TIMESTAMP PRIMARY KEY,
    n BIGINT NOT NULL,                -- predictions
    built BOOLEAN NOT NULL,
    changes BIGINT NOT NULL,
    last_ts TIMESTAMP NOT NULL,
    last_received TIMESTAMP
);
-- What the references have seen; made anew with each reference.
CREATE TABLE {schema}.reference_feature (
    version VARCHAR,
    feature SMALLINT,
    bin SMALLINT,
    n BIGINT
);
CREATE TABLE {schema}.reference_profile (
    version VARCHAR,
    feature SMALLINT,
    lowest DOUBLE,
    highest DOUBLE
);
