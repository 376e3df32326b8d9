-- Who may do what, who agreed, and a log that shows when it was changed.

-- Empty: the token is good for the whole fleet.
ALTER TABLE token ADD COLUMN selector TEXT COLLATE "C" NOT NULL DEFAULT '';

-- Each entry's hash covers the entry and the hash before it.
ALTER TABLE audit ADD COLUMN source TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE audit ADD COLUMN hash BYTEA NOT NULL DEFAULT '\x';

-- `author` is the person whose own approval never counts. `threshold` is how many had to agree
-- when it was submitted; `released_ms` is when they had, or at once where nobody is asked.
ALTER TABLE job ADD COLUMN author TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE job ADD COLUMN threshold BIGINT NOT NULL DEFAULT 0;
ALTER TABLE job ADD COLUMN released_ms BIGINT;
ALTER TABLE job ADD COLUMN denied_ms BIGINT;
ALTER TABLE job ADD COLUMN denied_by TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE job ADD COLUMN denied_reason TEXT COLLATE "C" NOT NULL DEFAULT '';

UPDATE job SET released_ms = created_ms;

CREATE INDEX job_guarded ON job (digest) WHERE threshold > 0;
CREATE INDEX job_waiting ON job (job_id) WHERE released_ms IS NULL AND denied_ms IS NULL;

-- The agent's jobs store when it was first signed: after its loss nobody knows what ran.
ALTER TABLE execution ADD COLUMN signed_under BYTEA;

-- The list of agents that the approvals of a guarded job are bound to; `proof` shows one of them
-- its place in it, once the job is released.
CREATE TABLE job_target (
    job_id BYTEA NOT NULL REFERENCES job,
    agent_id TEXT COLLATE "C" NOT NULL REFERENCES agent,
    proof BYTEA,
    PRIMARY KEY (job_id, agent_id)
);

-- What approvers signed with keys of their own, one envelope for each key.
CREATE TABLE approval (
    job_id BYTEA NOT NULL REFERENCES job,
    key_id BYTEA NOT NULL,
    person TEXT COLLATE "C" NOT NULL,
    envelope BYTEA NOT NULL,
    not_after_ms BIGINT NOT NULL,
    max_executions BIGINT NOT NULL,
    received_ms BIGINT NOT NULL,
    PRIMARY KEY (job_id, key_id)
);
