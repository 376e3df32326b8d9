-- One database is one fleet. Times are UTC milliseconds; agent_id leads every key of an agent.
-- Text is compared by its bytes (COLLATE "C"), as SQLite does.

CREATE TABLE fleet (
    one BIGINT PRIMARY KEY CHECK (one = 1),
    fleet_id BYTEA NOT NULL,
    url TEXT COLLATE "C" NOT NULL,
    page_key BYTEA NOT NULL,
    restore_epoch BIGINT NOT NULL DEFAULT 0,
    created_ms BIGINT NOT NULL
);

-- What the offline keys signed, as the envelopes that agents are given: every root, every catalog
-- and policy. An epoch begins the versions of catalogs and policies anew.
CREATE TABLE document (
    kind TEXT COLLATE "C" NOT NULL CHECK (kind IN ('root', 'catalog', 'policy')),
    epoch BIGINT NOT NULL,
    version BIGINT NOT NULL,
    envelope BYTEA NOT NULL,
    saved_ms BIGINT NOT NULL,
    PRIMARY KEY (kind, epoch, version)
);

-- --- people ---------------------------------------------------------------------------------
CREATE TABLE token (
    token_id TEXT COLLATE "C" PRIMARY KEY,
    name TEXT COLLATE "C" NOT NULL,
    secret_hash BYTEA NOT NULL,
    scope TEXT COLLATE "C" NOT NULL,
    created_ms BIGINT NOT NULL,
    expires_ms BIGINT NOT NULL,
    revoked_ms BIGINT
);

CREATE TABLE audit (
    number BIGINT PRIMARY KEY,
    at_ms BIGINT NOT NULL,
    actor TEXT COLLATE "C" NOT NULL,
    action TEXT COLLATE "C" NOT NULL,
    object TEXT COLLATE "C" NOT NULL,
    detail TEXT COLLATE "C" NOT NULL
);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'the % log is append-only', TG_TABLE_NAME; END $$;

CREATE TRIGGER audit_keeps_what_was_written BEFORE UPDATE ON audit
FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TRIGGER audit_forgets_nothing BEFORE DELETE OR TRUNCATE ON audit
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TABLE idempotency (
    token_id TEXT COLLATE "C" NOT NULL,
    key TEXT COLLATE "C" NOT NULL,
    body_digest BYTEA NOT NULL,
    job_id BYTEA NOT NULL,
    created_ms BIGINT NOT NULL,
    PRIMARY KEY (token_id, key)
);

CREATE INDEX idempotency_by_age ON idempotency (created_ms);

-- --- agents ---------------------------------------------------------------------------------
CREATE TABLE claim (
    claim_id BYTEA PRIMARY KEY,
    secret_hash BYTEA NOT NULL UNIQUE,
    site TEXT COLLATE "C" NOT NULL,
    count BIGINT NOT NULL,
    used BIGINT NOT NULL DEFAULT 0,
    expires_ms BIGINT NOT NULL,
    created_ms BIGINT NOT NULL,
    created_by TEXT COLLATE "C" NOT NULL
);

CREATE TABLE agent (
    agent_id TEXT COLLATE "C" PRIMARY KEY,
    public_key BYTEA NOT NULL UNIQUE,
    site TEXT COLLATE "C" NOT NULL,
    claim_id BYTEA NOT NULL,
    enrolled_ms BIGINT NOT NULL,
    revoked_ms BIGINT,
    quarantined_ms BIGINT,
    bundle_seq BIGINT NOT NULL DEFAULT 0
);

CREATE TABLE agent_label (
    agent_id TEXT COLLATE "C" NOT NULL REFERENCES agent,
    key TEXT COLLATE "C" NOT NULL,
    value TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (agent_id, key)
);

CREATE INDEX agent_label_by_value ON agent_label (key, value);

-- The newest report of an agent and the facts of its link: one hot row per agent. An empty digest
-- forgets the chain (a quarantine was ended); `strays` are the first bytes of the hashes of
-- answers to reports from beside the chain, newest last.
CREATE TABLE contact (
    agent_id TEXT COLLATE "C" PRIMARY KEY REFERENCES agent,
    counter BIGINT NOT NULL,
    digest BYTEA NOT NULL,
    telemetry_epoch BYTEA NOT NULL,
    jobs_epoch BYTEA NOT NULL,
    boot_id BYTEA NOT NULL,
    clock_state BIGINT NOT NULL,
    offset_ms BIGINT NOT NULL,
    refusals TEXT COLLATE "C" NOT NULL,
    last_ms BIGINT NOT NULL,
    interval_ms BIGINT,
    contacts BIGINT NOT NULL,
    bytes_up BIGINT NOT NULL,
    bytes_down BIGINT NOT NULL,
    strays BYTEA NOT NULL DEFAULT '\x'
);

-- Hashes of the newest reports of each jobs store, by which a clone gives itself away.
CREATE TABLE report_seen (
    agent_id TEXT COLLATE "C" NOT NULL REFERENCES agent,
    jobs_epoch BYTEA NOT NULL,
    counter BIGINT NOT NULL,
    digest BYTEA NOT NULL,
    PRIMARY KEY (agent_id, jobs_epoch, counter)
);

-- Jobs stores that their agent declared lost.
CREATE TABLE store_left (
    agent_id TEXT COLLATE "C" NOT NULL REFERENCES agent,
    jobs_epoch BYTEA NOT NULL,
    PRIMARY KEY (agent_id, jobs_epoch)
);

CREATE TABLE refusal (
    agent_id TEXT COLLATE "C" NOT NULL REFERENCES agent,
    reason BIGINT NOT NULL,
    count BIGINT NOT NULL,
    first_ms BIGINT NOT NULL,
    last_ms BIGINT NOT NULL,
    audited_ms BIGINT NOT NULL,
    PRIMARY KEY (agent_id, reason)
);

-- --- readings -------------------------------------------------------------------------------
-- One row per telemetry.db an agent has had; `received` and `ledger` are packed ranges.
CREATE TABLE telemetry_store (
    agent_id TEXT COLLATE "C" NOT NULL REFERENCES agent,
    epoch BYTEA NOT NULL,
    ordinal BIGINT NOT NULL,
    next_block BIGINT NOT NULL,
    received BYTEA NOT NULL,
    ledger BYTEA NOT NULL,
    blocks BIGINT NOT NULL,
    bytes BIGINT NOT NULL,
    readings BIGINT NOT NULL,
    lost BIGINT NOT NULL,
    said_sampled BIGINT NOT NULL,
    said_suppressed BIGINT NOT NULL,
    said_delivered BIGINT NOT NULL,
    said_stored BIGINT NOT NULL,
    said_lost BIGINT NOT NULL,
    PRIMARY KEY (agent_id, epoch)
);

-- By the month of arrival, which never changes: a month that is over its time is dropped whole. No
-- unique key spans partitions; `telemetry_store.received` is what lets a block in only once.
CREATE TABLE block (
    agent_id TEXT COLLATE "C" NOT NULL REFERENCES agent,
    epoch BYTEA NOT NULL,
    seq BIGINT NOT NULL,
    digest BYTEA NOT NULL,
    priority BIGINT NOT NULL,
    first_ms BIGINT NOT NULL,
    last_ms BIGINT NOT NULL,
    count BIGINT NOT NULL,
    schema_ref BYTEA NOT NULL,
    received_ms BIGINT NOT NULL,
    data BYTEA NOT NULL,
    PRIMARY KEY (agent_id, epoch, seq, received_ms)
) PARTITION BY RANGE (received_ms);

-- What no month was made for; empty unless the clock ran ahead of the months.
CREATE TABLE block_otherwise PARTITION OF block DEFAULT;

CREATE INDEX block_by_agent_and_time ON block (agent_id, last_ms);
CREATE INDEX block_by_time ON block (last_ms);

-- Same number, other bytes: kept for a person, never over the first one.
CREATE TABLE block_aside (
    agent_id TEXT COLLATE "C" NOT NULL REFERENCES agent,
    epoch BYTEA NOT NULL,
    seq BIGINT NOT NULL,
    digest BYTEA NOT NULL,
    received_ms BIGINT NOT NULL,
    data BYTEA NOT NULL,
    PRIMARY KEY (agent_id, epoch, seq, digest)
);

-- A channel list; `data` is null while blocks refer to it and the agent has not sent it.
CREATE TABLE schema (
    agent_id TEXT COLLATE "C" NOT NULL REFERENCES agent,
    schema_ref BYTEA NOT NULL,
    data BYTEA,
    received_ms BIGINT,
    PRIMARY KEY (agent_id, schema_ref)
);

CREATE TABLE ledger (
    agent_id TEXT COLLATE "C" NOT NULL REFERENCES agent,
    epoch BYTEA NOT NULL,
    number BIGINT NOT NULL,
    reason BIGINT NOT NULL,
    first_ms BIGINT NOT NULL,
    last_ms BIGINT NOT NULL,
    count BIGINT NOT NULL,
    estimated BIGINT NOT NULL,
    received_ms BIGINT NOT NULL,
    PRIMARY KEY (agent_id, epoch, number)
);

-- --- jobs -----------------------------------------------------------------------------------
CREATE TABLE job (
    job_id BYTEA PRIMARY KEY,
    name TEXT COLLATE "C" NOT NULL,
    digest BYTEA NOT NULL,
    spec BYTEA NOT NULL,
    job_class TEXT COLLATE "C" NOT NULL,
    targets BIGINT NOT NULL,
    not_after_ms BIGINT NOT NULL,
    expired_ms BIGINT,
    created_ms BIGINT NOT NULL,
    created_by TEXT COLLATE "C" NOT NULL,
    trace TEXT COLLATE "C" NOT NULL
);

CREATE INDEX job_by_deadline ON job (not_after_ms) WHERE expired_ms IS NULL;

-- `fact_*` is the receipt that set the state: a later one wins, whenever it arrives.
CREATE TABLE execution (
    agent_id TEXT COLLATE "C" NOT NULL REFERENCES agent,
    execution_id BYTEA NOT NULL UNIQUE,
    job_id BYTEA NOT NULL REFERENCES job,
    state BIGINT NOT NULL,
    reason BIGINT NOT NULL DEFAULT 0,
    fact_epoch BIGINT NOT NULL DEFAULT 0,
    fact_number BIGINT NOT NULL DEFAULT 0,
    signed_seq BIGINT,
    signed_ms BIGINT,
    overdue_ms BIGINT,
    created_ms BIGINT NOT NULL,
    updated_ms BIGINT NOT NULL,
    version BIGINT NOT NULL DEFAULT 1,
    PRIMARY KEY (agent_id, execution_id)
);

CREATE INDEX execution_by_job ON execution (job_id, state);
CREATE INDEX execution_queued ON execution (agent_id, state, execution_id) WHERE state = 0;

CREATE TABLE task (
    agent_id TEXT COLLATE "C" NOT NULL,
    execution_id BYTEA NOT NULL,
    device TEXT COLLATE "C" NOT NULL,
    state BIGINT NOT NULL,
    attempt BIGINT NOT NULL,
    reason BIGINT NOT NULL,
    detail TEXT COLLATE "C" NOT NULL,
    result BYTEA NOT NULL,
    fact_epoch BIGINT NOT NULL,
    fact_number BIGINT NOT NULL,
    PRIMARY KEY (agent_id, execution_id, device),
    FOREIGN KEY (agent_id, execution_id) REFERENCES execution
);

-- One row per jobs.db an agent has had; `ordinal` orders receipts across them.
CREATE TABLE jobs_store (
    agent_id TEXT COLLATE "C" NOT NULL REFERENCES agent,
    epoch BYTEA NOT NULL,
    ordinal BIGINT NOT NULL,
    received BYTEA NOT NULL,
    PRIMARY KEY (agent_id, epoch)
);

CREATE TABLE receipt (
    agent_id TEXT COLLATE "C" NOT NULL REFERENCES agent,
    epoch BIGINT NOT NULL,
    number BIGINT NOT NULL,
    execution_id BYTEA NOT NULL,
    device TEXT COLLATE "C" NOT NULL,
    state BIGINT NOT NULL,
    attempt BIGINT NOT NULL,
    reason BIGINT NOT NULL,
    wall_ms BIGINT NOT NULL,
    detail TEXT COLLATE "C" NOT NULL,
    result BYTEA NOT NULL,
    received_ms BIGINT NOT NULL,
    PRIMARY KEY (agent_id, epoch, number)
);

CREATE INDEX receipt_by_execution ON receipt (agent_id, execution_id, epoch, number);
