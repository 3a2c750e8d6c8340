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
CREATE TABLE {schema}.rollup_volume (
    bucket TIMESTAMP NOT NULL,        -- 5 minutes
    version VARCHAR NOT NULL,
    n BIGINT NOT NULL,
    n_error BIGINT NOT NULL,
    n_cost BIGINT NOT NULL,           -- rows that have a cost
    cost_sum DOUBLE NOT NULL
);
CREATE TABLE {schema}.rollup_latency (
    bucket TIMESTAMP NOT NULL,        -- 5 minutes
    version VARCHAR NOT NULL,
    bin SMALLINT NOT NULL,            -- floor(8 ln ms)
    n BIGINT NOT NULL,
    latency_sum DOUBLE NOT NULL
);
CREATE TABLE {schema}.rollup_delay (
    bucket TIMESTAMP NOT NULL,
    version VARCHAR NOT NULL,
    bin SMALLINT NOT NULL,            -- floor(8 ln(1 + seconds))
    n BIGINT NOT NULL
);
CREATE TABLE {schema}.rollup_feature (
    bucket TIMESTAMP NOT NULL,
    version VARCHAR NOT NULL,
    feature SMALLINT NOT NULL,
    bin SMALLINT NOT NULL,            -- -1 missing, -2 not finite, -3 unseen category
    n BIGINT NOT NULL,
    value_sum DOUBLE NOT NULL,
    value_sq DOUBLE NOT NULL,
    value_min DOUBLE,
    value_max DOUBLE
);
{outcome_tables}
