-- One database is one fleet. Times are UTC milliseconds; agent_id leads every key of an agent.

CREATE TABLE fleet (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    fleet_id BLOB NOT NULL,
    url TEXT NOT NULL,
    page_key BLOB NOT NULL,
    restore_epoch INTEGER NOT NULL DEFAULT 0,
    created_ms INTEGER NOT NULL
) STRICT;

-- What the offline keys signed, as the envelopes that agents are given: every root, every catalog
-- and policy. An epoch begins the versions of catalogs and policies anew.
CREATE TABLE document (
    kind TEXT NOT NULL CHECK (kind IN ('root', 'catalog', 'policy')),
    epoch INTEGER NOT NULL,
    version INTEGER NOT NULL,
    envelope BLOB NOT NULL,
    saved_ms INTEGER NOT NULL,
    PRIMARY KEY (kind, epoch, version)
) STRICT, WITHOUT ROWID;

-- --- people ---------------------------------------------------------------------------------
CREATE TABLE token (
    token_id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    secret_hash BLOB NOT NULL,
    scope TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    expires_ms INTEGER NOT NULL,
    revoked_ms INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE audit (
    number INTEGER PRIMARY KEY,
    at_ms INTEGER NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    object TEXT NOT NULL,
    detail TEXT NOT NULL
) STRICT;

CREATE TRIGGER audit_keeps_what_was_written BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;

CREATE TRIGGER audit_forgets_nothing BEFORE DELETE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;

CREATE TABLE idempotency (
    token_id TEXT NOT NULL,
    key TEXT NOT NULL,
    body_digest BLOB NOT NULL,
    job_id BLOB NOT NULL,
    created_ms INTEGER NOT NULL,
    PRIMARY KEY (token_id, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX idempotency_by_age ON idempotency (created_ms);

-- --- agents ---------------------------------------------------------------------------------
CREATE TABLE claim (
    claim_id BLOB PRIMARY KEY,
    secret_hash BLOB NOT NULL UNIQUE,
    site TEXT NOT NULL,
    count INTEGER NOT NULL,
    used INTEGER NOT NULL DEFAULT 0,
    expires_ms INTEGER NOT NULL,
    created_ms INTEGER NOT NULL,
    created_by TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE agent (
    agent_id TEXT PRIMARY KEY,
    public_key BLOB NOT NULL UNIQUE,
    site TEXT NOT NULL,
    claim_id BLOB NOT NULL,
    enrolled_ms INTEGER NOT NULL,
    revoked_ms INTEGER,
    quarantined_ms INTEGER,
    bundle_seq INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

CREATE TABLE agent_label (
    agent_id TEXT NOT NULL REFERENCES agent,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (agent_id, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX agent_label_by_value ON agent_label (key, value);

-- The newest report of an agent and the facts of its link: one hot row per agent. An empty digest
-- forgets the chain (a quarantine was ended); `strays` are the first bytes of the hashes of
-- answers to reports from beside the chain, newest last.
CREATE TABLE contact (
    agent_id TEXT PRIMARY KEY REFERENCES agent,
    counter INTEGER NOT NULL,
    digest BLOB NOT NULL,
    telemetry_epoch BLOB NOT NULL,
    jobs_epoch BLOB NOT NULL,
    boot_id BLOB NOT NULL,
    clock_state INTEGER NOT NULL,
    offset_ms INTEGER NOT NULL,
    refusals TEXT NOT NULL,
    last_ms INTEGER NOT NULL,
    interval_ms INTEGER,
    contacts INTEGER NOT NULL,
    bytes_up INTEGER NOT NULL,
    bytes_down INTEGER NOT NULL,
    strays BLOB NOT NULL DEFAULT x''
) STRICT, WITHOUT ROWID;

-- Hashes of the newest reports of each jobs store, by which a clone gives itself away.
CREATE TABLE report_seen (
    agent_id TEXT NOT NULL REFERENCES agent,
    jobs_epoch BLOB NOT NULL,
    counter INTEGER NOT NULL,
    digest BLOB NOT NULL,
    PRIMARY KEY (agent_id, jobs_epoch, counter)
) STRICT, WITHOUT ROWID;

-- Jobs stores that their agent declared lost.
CREATE TABLE store_left (
    agent_id TEXT NOT NULL REFERENCES agent,
    jobs_epoch BLOB NOT NULL,
    PRIMARY KEY (agent_id, jobs_epoch)
) STRICT, WITHOUT ROWID;

CREATE TABLE refusal (
    agent_id TEXT NOT NULL REFERENCES agent,
    reason INTEGER NOT NULL,
    count INTEGER NOT NULL,
    first_ms INTEGER NOT NULL,
    last_ms INTEGER NOT NULL,
    audited_ms INTEGER NOT NULL,
    PRIMARY KEY (agent_id, reason)
) STRICT, WITHOUT ROWID;

-- --- readings -------------------------------------------------------------------------------
-- One row per telemetry.db an agent has had; `received` and `ledger` are packed ranges.
CREATE TABLE telemetry_store (
    agent_id TEXT NOT NULL REFERENCES agent,
    epoch BLOB NOT NULL,
    ordinal INTEGER NOT NULL,
    next_block INTEGER NOT NULL,
    received BLOB NOT NULL,
    ledger BLOB NOT NULL,
    blocks INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    readings INTEGER NOT NULL,
    lost INTEGER NOT NULL,
    said_sampled INTEGER NOT NULL,
    said_suppressed INTEGER NOT NULL,
    said_delivered INTEGER NOT NULL,
    said_stored INTEGER NOT NULL,
    said_lost INTEGER NOT NULL,
    PRIMARY KEY (agent_id, epoch)
) STRICT, WITHOUT ROWID;

CREATE TABLE block (
    agent_id TEXT NOT NULL REFERENCES agent,
    epoch BLOB NOT NULL,
    seq INTEGER NOT NULL,
    digest BLOB NOT NULL,
    priority INTEGER NOT NULL,
    first_ms INTEGER NOT NULL,
    last_ms INTEGER NOT NULL,
    count INTEGER NOT NULL,
    schema_ref BLOB NOT NULL,
    received_ms INTEGER NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (agent_id, epoch, seq)
) STRICT;

CREATE INDEX block_by_agent_and_time ON block (agent_id, last_ms);
CREATE INDEX block_by_time ON block (last_ms);

-- Same number, other bytes: kept for a person, never over the first one.
CREATE TABLE block_aside (
    agent_id TEXT NOT NULL REFERENCES agent,
    epoch BLOB NOT NULL,
    seq INTEGER NOT NULL,
    digest BLOB NOT NULL,
    received_ms INTEGER NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (agent_id, epoch, seq, digest)
) STRICT;

-- A channel list; `data` is null while blocks refer to it and the agent has not sent it.
CREATE TABLE schema (
    agent_id TEXT NOT NULL REFERENCES agent,
    schema_ref BLOB NOT NULL,
    data BLOB,
    received_ms INTEGER,
    PRIMARY KEY (agent_id, schema_ref)
) STRICT, WITHOUT ROWID;

CREATE TABLE ledger (
    agent_id TEXT NOT NULL REFERENCES agent,
    epoch BLOB NOT NULL,
    number INTEGER NOT NULL,
    reason INTEGER NOT NULL,
    first_ms INTEGER NOT NULL,
    last_ms INTEGER NOT NULL,
    count INTEGER NOT NULL,
    estimated INTEGER NOT NULL,
    received_ms INTEGER NOT NULL,
    PRIMARY KEY (agent_id, epoch, number)
) STRICT, WITHOUT ROWID;

-- --- jobs -----------------------------------------------------------------------------------
CREATE TABLE job (
    job_id BLOB PRIMARY KEY,
    name TEXT NOT NULL,
    digest BLOB NOT NULL,
    spec BLOB NOT NULL,
    job_class TEXT NOT NULL,
    targets INTEGER NOT NULL,
    not_after_ms INTEGER NOT NULL,
    expired_ms INTEGER,
    created_ms INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    trace TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX job_by_deadline ON job (not_after_ms) WHERE expired_ms IS NULL;

-- `fact_*` is the receipt that set the state: a later one wins, whenever it arrives.
CREATE TABLE execution (
    agent_id TEXT NOT NULL REFERENCES agent,
    execution_id BLOB NOT NULL UNIQUE,
    job_id BLOB NOT NULL REFERENCES job,
    state INTEGER NOT NULL,
    reason INTEGER NOT NULL DEFAULT 0,
    fact_epoch INTEGER NOT NULL DEFAULT 0,
    fact_number INTEGER NOT NULL DEFAULT 0,
    signed_seq INTEGER,
    signed_ms INTEGER,
    overdue_ms INTEGER,
    created_ms INTEGER NOT NULL,
    updated_ms INTEGER NOT NULL,
    version INTEGER NOT NULL DEFAULT 1,
    PRIMARY KEY (agent_id, execution_id)
) STRICT;

CREATE INDEX execution_by_job ON execution (job_id, state);
CREATE INDEX execution_queued ON execution (agent_id, state, execution_id) WHERE state = 0;

CREATE TABLE task (
    agent_id TEXT NOT NULL,
    execution_id BLOB NOT NULL,
    device TEXT NOT NULL,
    state INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    reason INTEGER NOT NULL,
    detail TEXT NOT NULL,
    result BLOB NOT NULL,
    fact_epoch INTEGER NOT NULL,
    fact_number INTEGER NOT NULL,
    PRIMARY KEY (agent_id, execution_id, device),
    FOREIGN KEY (agent_id, execution_id) REFERENCES execution
) STRICT, WITHOUT ROWID;

-- One row per jobs.db an agent has had; `ordinal` orders receipts across them.
CREATE TABLE jobs_store (
    agent_id TEXT NOT NULL REFERENCES agent,
    epoch BLOB NOT NULL,
    ordinal INTEGER NOT NULL,
    received BLOB NOT NULL,
    PRIMARY KEY (agent_id, epoch)
) STRICT, WITHOUT ROWID;

CREATE TABLE receipt (
    agent_id TEXT NOT NULL REFERENCES agent,
    epoch INTEGER NOT NULL,
    number INTEGER NOT NULL,
    execution_id BLOB NOT NULL,
    device TEXT NOT NULL,
    state INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    reason INTEGER NOT NULL,
    wall_ms INTEGER NOT NULL,
    detail TEXT NOT NULL,
    result BLOB NOT NULL,
    received_ms INTEGER NOT NULL,
    PRIMARY KEY (agent_id, epoch, number)
) STRICT;

CREATE INDEX receipt_by_execution ON receipt (agent_id, execution_id, epoch, number);
