-- What live collectors need: how each source stands, and changes of the serving system.
CREATE TABLE source_state (
    deployment VARCHAR NOT NULL,
    kind VARCHAR NOT NULL,            -- predictions, labels, metrics, events
    source VARCHAR NOT NULL,
    last_ok TIMESTAMP,                -- when it was last read without failure
    n_failures BIGINT NOT NULL,       -- in a row; 0: it works
    failing_since TIMESTAMP,
    problem VARCHAR NOT NULL,
    next_try TIMESTAMP,
    PRIMARY KEY (deployment, kind, source)
);
CREATE TABLE change_events (
    ts TIMESTAMP NOT NULL,
    deployment VARCHAR NOT NULL,
    kind VARCHAR NOT NULL,            -- alias, deploy, split, fallback
    subject VARCHAR NOT NULL,         -- what changed: the alias's name
    detail VARCHAR NOT NULL,          -- from what to what
    source VARCHAR NOT NULL,
    batch BIGINT NOT NULL
);
-- What retention deleted: nothing of `what` is left before `before`. Raw rows that are gone cannot
-- come in again, and the rollups of their hours stay as they are.
CREATE TABLE retained (
    deployment VARCHAR NOT NULL,
    what VARCHAR NOT NULL,            -- collectors.store.sealed.Gone
    before TIMESTAMP NOT NULL,
    at_time TIMESTAMP NOT NULL,       -- when it was last done
    n BIGINT NOT NULL,                -- rows, all together
    marks VARCHAR NOT NULL,           -- of raw rows: what their hours' rollups were built with
    PRIMARY KEY (deployment, what)
);
-- What failed a rule of quality, by batch and hour; figures of these hours say so.
CREATE TABLE failed_checks (
    deployment VARCHAR NOT NULL,
    batch BIGINT NOT NULL,
    rule VARCHAR NOT NULL,            -- range, values, required, late; batch: too many bad records
    subject VARCHAR NOT NULL,         -- the column; of a batch its source
    bucket TIMESTAMP,                 -- the hour; NULL where rows have no time, and of a batch
    quarantined BOOLEAN NOT NULL,     -- whether the records were set apart; else the rows are there
    n BIGINT NOT NULL,                -- rows of the batch in that hour that were looked at
    n_failed BIGINT NOT NULL,
    first_ts TIMESTAMP,
    last_ts TIMESTAMP,
    at_time TIMESTAMP NOT NULL
);
