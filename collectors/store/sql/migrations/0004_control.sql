-- How traffic was split, as the control plane was read; which change led there is in the audit.
CREATE TABLE split_readings (
    ts TIMESTAMP NOT NULL,
    deployment VARCHAR NOT NULL,
    replica VARCHAR NOT NULL,
    arm VARCHAR NOT NULL,             -- '' where nothing could be read
    weight BIGINT,                    -- NULL where it could not be read
    n BIGINT,                         -- requests since the reading before; NULL where not counted
    n_error BIGINT,
    problem VARCHAR NOT NULL          -- why, '' for nothing
);
