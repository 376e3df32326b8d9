-- The newest report that came on a stick, one row per jobs store of an agent, and what its next
-- stick has to bring back. `acked` are packed ranges of block numbers of `telemetry_epoch` that
-- carried reports announced and that are committed; `nacked` are packed (number, reason).
CREATE TABLE carried (
    agent_id TEXT NOT NULL REFERENCES agent,
    jobs_epoch BLOB NOT NULL,
    counter INTEGER NOT NULL,
    number INTEGER NOT NULL,
    digest BLOB NOT NULL,
    telemetry_epoch BLOB NOT NULL,
    acked BLOB NOT NULL,
    nacked BLOB NOT NULL,
    root_version INTEGER NOT NULL,
    catalog_version INTEGER NOT NULL,
    policy_version INTEGER NOT NULL,
    attested INTEGER NOT NULL,
    received_ms INTEGER NOT NULL,
    PRIMARY KEY (agent_id, jobs_epoch)
) STRICT, WITHOUT ROWID;

-- Blocks that an agent was asked for again and no longer has: packed ranges per telemetry store.
ALTER TABLE telemetry_store ADD COLUMN gone BLOB NOT NULL DEFAULT x'90';

-- One row: up to where a verified copy of this database holds everything.
CREATE TABLE backup (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    made_ms INTEGER NOT NULL,
    digest BLOB NOT NULL
) STRICT;

-- Blocks below `safe_to` of a telemetry store are in that copy.
CREATE TABLE backup_store (
    agent_id TEXT NOT NULL REFERENCES agent,
    epoch BLOB NOT NULL,
    safe_to INTEGER NOT NULL,
    PRIMARY KEY (agent_id, epoch)
) STRICT, WITHOUT ROWID;

-- Every time this database was put back from a copy.
CREATE TABLE restore (
    restore_epoch INTEGER PRIMARY KEY,
    at_ms INTEGER NOT NULL,
    made_ms INTEGER NOT NULL
) STRICT;
