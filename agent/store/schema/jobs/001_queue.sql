-- jobs.db: what the agent was ordered to do, what became of it, and where its exchange with the
-- coordinator stands. Booleans and states are integers, times are milliseconds.

-- One row. `jobs_epoch` names this file; everything numbered in it is numbered within the epoch.
CREATE TABLE contact (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    jobs_epoch BLOB NOT NULL CHECK (length(jobs_epoch) = 16),
    counter INTEGER NOT NULL,
    previous BLOB NOT NULL DEFAULT x'',
    pending BLOB,
    -- First bytes of the hash of the newest verified answer.
    echo BLOB NOT NULL DEFAULT x'',
    -- Packed `shared.trust.counters.Counters`; null: this file never knew any.
    counters BLOB,
    -- Since when executions under approvals are remembered: 0 at enrolment.
    approved_since_ms INTEGER NOT NULL,
    answered_ms INTEGER,
    bytes_up INTEGER NOT NULL DEFAULT 0,
    bytes_down INTEGER NOT NULL DEFAULT 0
) STRICT;

-- What is known of time, as it was last saved; no row before the first time.
CREATE TABLE time_kept (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    floor_ms INTEGER NOT NULL,
    silent_ms INTEGER NOT NULL,
    boot_id BLOB NOT NULL,
    mono_ms INTEGER NOT NULL
) STRICT;

-- The documents that orders are judged by, as the envelopes that were verified.
CREATE TABLE trust (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    root BLOB NOT NULL,
    catalog BLOB,
    policy BLOB
) STRICT;

-- Executions that were admitted under approvals, by their job's digest.
CREATE TABLE approved (
    job BLOB NOT NULL,
    execution BLOB NOT NULL,
    until_ms INTEGER NOT NULL,
    PRIMARY KEY (job, execution)
) STRICT, WITHOUT ROWID;

-- Refused documents by reason code since the epoch began.
CREATE TABLE refusal (
    reason INTEGER PRIMARY KEY,
    count INTEGER NOT NULL
) STRICT;

-- One job on this agent. `receipt` is the newest receipt about it: once that is acknowledged and
-- the state is terminal, the row only guards against a repeated grant.
CREATE TABLE execution (
    number INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    spec BLOB NOT NULL,
    digest BLOB NOT NULL,
    not_after_ms INTEGER NOT NULL,
    class TEXT NOT NULL,
    grace_s INTEGER NOT NULL,
    state INTEGER NOT NULL,
    reason INTEGER NOT NULL DEFAULT 0,
    receipt INTEGER NOT NULL DEFAULT 0,
    -- The job it is of; other jobs may wait for how it ends.
    job BLOB NOT NULL DEFAULT x'',
    -- Of several that wait under one key only the newest is done.
    conflict_key TEXT NOT NULL DEFAULT '',
    priority INTEGER NOT NULL DEFAULT 1,
    tolerate_ppm INTEGER NOT NULL DEFAULT 0,
    -- Tasks that may be at work at once, 0: as many as there are lanes; and how many go first.
    max_parallel INTEGER NOT NULL DEFAULT 0,
    canary INTEGER NOT NULL DEFAULT 0,
    -- The job it waits for, and the outcome that lets it begin: a state, or -1 for any.
    after_job BLOB,
    after_state INTEGER NOT NULL DEFAULT -1,
    -- It was called off: what is at work stops at the next safe point.
    canceled INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE INDEX execution_job ON execution (job) WHERE job <> x'';
CREATE INDEX execution_waiting ON execution (after_job) WHERE after_job IS NOT NULL;
CREATE INDEX execution_conflict ON execution (conflict_key) WHERE conflict_key <> '';

-- One execution on one device, in the order of admission. A standing job's tasks belong to one
-- firing each; others have firing 0. `course` is a packed `agent.core.course.Course`.
CREATE TABLE task (
    number INTEGER PRIMARY KEY,
    execution INTEGER NOT NULL REFERENCES execution (number) ON DELETE CASCADE,
    device TEXT NOT NULL,
    state INTEGER NOT NULL DEFAULT 0,
    reason INTEGER NOT NULL DEFAULT 0,
    attempt INTEGER NOT NULL DEFAULT 0,
    crashes INTEGER NOT NULL DEFAULT 0,
    due_boot BLOB NOT NULL,
    due_mono_ms INTEGER NOT NULL,
    due_today_ms INTEGER NOT NULL,
    due_delay_ms INTEGER NOT NULL,
    firing INTEGER NOT NULL DEFAULT 0,
    priority INTEGER NOT NULL DEFAULT 1,
    -- Its turn has not come: behind a canary, a limit of parallel work, or another job.
    blocked INTEGER NOT NULL DEFAULT 0,
    verifying INTEGER NOT NULL DEFAULT 0,
    course BLOB NOT NULL DEFAULT x'',
    UNIQUE (execution, firing, device)
) STRICT;

CREATE INDEX task_ready ON task (priority, due_mono_ms, number) WHERE state = 0 AND blocked = 0;

-- A device does one thing at a time; the database would refuse a second.
CREATE UNIQUE INDEX task_running ON task (device) WHERE state = 1;

-- Receipts until the coordinator acknowledges them; a number is never used twice.
CREATE TABLE outbox (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    body BLOB NOT NULL
) STRICT;
