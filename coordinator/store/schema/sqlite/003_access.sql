-- Who may do what, who agreed, and a log that shows when it was changed.

-- Empty: the token is good for the whole fleet.
ALTER TABLE token ADD COLUMN selector TEXT NOT NULL DEFAULT '';

-- Each entry's hash covers the entry and the hash before it.
ALTER TABLE audit ADD COLUMN source TEXT NOT NULL DEFAULT '';
ALTER TABLE audit ADD COLUMN hash BLOB NOT NULL DEFAULT x'';

-- `author` is the person whose own approval never counts. `threshold` is how many had to agree
-- when it was submitted; `released_ms` is when they had, or at once where nobody is asked.
ALTER TABLE job ADD COLUMN author TEXT NOT NULL DEFAULT '';
ALTER TABLE job ADD COLUMN threshold INTEGER NOT NULL DEFAULT 0;
ALTER TABLE job ADD COLUMN released_ms INTEGER;
ALTER TABLE job ADD COLUMN denied_ms INTEGER;
ALTER TABLE job ADD COLUMN denied_by TEXT NOT NULL DEFAULT '';
ALTER TABLE job ADD COLUMN denied_reason TEXT NOT NULL DEFAULT '';

UPDATE job SET released_ms = created_ms;

CREATE INDEX job_guarded ON job (digest) WHERE threshold > 0;
CREATE INDEX job_waiting ON job (job_id) WHERE released_ms IS NULL AND denied_ms IS NULL;

-- The agent's jobs store when it was first signed: after its loss nobody knows what ran.
ALTER TABLE execution ADD COLUMN signed_under BLOB;

-- The list of agents that the approvals of a guarded job are bound to; `proof` shows one of them
-- its place in it, once the job is released.
CREATE TABLE job_target (
    job_id BLOB NOT NULL REFERENCES job,
    agent_id TEXT NOT NULL REFERENCES agent,
    proof BLOB,
    PRIMARY KEY (job_id, agent_id)
) STRICT, WITHOUT ROWID;

-- What approvers signed with keys of their own, one envelope for each key.
CREATE TABLE approval (
    job_id BLOB NOT NULL REFERENCES job,
    key_id BLOB NOT NULL,
    person TEXT NOT NULL,
    envelope BLOB NOT NULL,
    not_after_ms INTEGER NOT NULL,
    max_executions INTEGER NOT NULL,
    received_ms INTEGER NOT NULL,
    PRIMARY KEY (job_id, key_id)
) STRICT, WITHOUT ROWID;
