-- The newest report that came on a stick, one row per jobs store of an agent, and what its next
-- stick has to bring back. `acked` are packed ranges of block numbers of `telemetry_epoch` that
-- carried reports announced and that are committed; `nacked` are packed (number, reason).
CREATE TABLE carried (
    agent_id TEXT COLLATE "C" NOT NULL REFERENCES agent,
    jobs_epoch BYTEA NOT NULL,
    counter BIGINT NOT NULL,
    number BIGINT NOT NULL,
    digest BYTEA NOT NULL,
    telemetry_epoch BYTEA NOT NULL,
    acked BYTEA NOT NULL,
    nacked BYTEA NOT NULL,
    root_version BIGINT NOT NULL,
    catalog_version BIGINT NOT NULL,
    policy_version BIGINT NOT NULL,
    attested BIGINT NOT NULL,
    received_ms BIGINT NOT NULL,
    PRIMARY KEY (agent_id, jobs_epoch)
);

-- Blocks that an agent was asked for again and no longer has: packed ranges per telemetry store.
ALTER TABLE telemetry_store ADD COLUMN gone BYTEA NOT NULL DEFAULT '\x90';

-- One row: up to where a verified copy of this database holds everything.
CREATE TABLE backup (
    one BIGINT PRIMARY KEY CHECK (one = 1),
    made_ms BIGINT NOT NULL,
    digest BYTEA NOT NULL
);

-- Blocks below `safe_to` of a telemetry store are in that copy.
CREATE TABLE backup_store (
    agent_id TEXT COLLATE "C" NOT NULL REFERENCES agent,
    epoch BYTEA NOT NULL,
    safe_to BIGINT NOT NULL,
    PRIMARY KEY (agent_id, epoch)
);

-- Every time this database was put back from a copy.
CREATE TABLE restore (
    restore_epoch BIGINT PRIMARY KEY,
    at_ms BIGINT NOT NULL,
    made_ms BIGINT NOT NULL
);
