-- Rollouts: who is in which stage, how far it is, and what changed since somebody looked.

-- `policy` and `progress` are packed (coordinator.core.rollout_policy); `state` is the progress's,
-- `due_ms` is when to look again though nothing happened, null: never. `undo` is the job that
-- takes it back.
CREATE TABLE rollout (
    job_id BLOB PRIMARY KEY REFERENCES job,
    policy BLOB NOT NULL,
    progress BLOB NOT NULL,
    state INTEGER NOT NULL,
    due_ms INTEGER,
    begun_ms INTEGER,
    undo BLOB,
    words TEXT NOT NULL DEFAULT '',
    updated_ms INTEGER NOT NULL,
    version INTEGER NOT NULL DEFAULT 1
) STRICT, WITHOUT ROWID;

CREATE INDEX rollout_due ON rollout (due_ms) WHERE due_ms IS NOT NULL;
CREATE INDEX rollout_by_state ON rollout (state, job_id);

CREATE TABLE rollout_stage (
    job_id BLOB NOT NULL REFERENCES rollout,
    stage INTEGER NOT NULL,
    planned INTEGER NOT NULL,
    members INTEGER NOT NULL,
    released INTEGER NOT NULL DEFAULT 0,
    opened_ms INTEGER,
    PRIMARY KEY (job_id, stage)
) STRICT, WITHOUT ROWID;

-- `execution_id` is null until it is released; `stage` is -1 for who was dropped. A member is
-- `ready` when its rank among those of its site is below what the site has room for.
CREATE TABLE rollout_member (
    job_id BLOB NOT NULL REFERENCES rollout,
    agent_id TEXT NOT NULL REFERENCES agent,
    stage INTEGER NOT NULL,
    place INTEGER NOT NULL,
    site TEXT NOT NULL,
    rank INTEGER NOT NULL,
    ready INTEGER NOT NULL,
    execution_id BLOB,
    PRIMARY KEY (job_id, agent_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX rollout_member_waiting ON rollout_member (job_id, stage, ready, place)
    WHERE execution_id IS NULL;
CREATE INDEX rollout_member_of_site ON rollout_member (job_id, site, rank);

-- `room` is how many of a site's members may have begun by now: its bound, and one more for each
-- that ended.
CREATE TABLE rollout_site (
    job_id BLOB NOT NULL REFERENCES rollout,
    site TEXT NOT NULL,
    members INTEGER NOT NULL,
    room INTEGER NOT NULL,
    PRIMARY KEY (job_id, site)
) STRICT, WITHOUT ROWID;

CREATE TABLE rollout_count (
    job_id BLOB NOT NULL REFERENCES rollout,
    stage INTEGER NOT NULL,
    state INTEGER NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (job_id, stage, state)
) STRICT, WITHOUT ROWID;

-- A job that is held goes into no bundle. `stage` is -1 for executions of no rollout;
-- `overdue_from` is the state that OVERDUE took the place of.
ALTER TABLE job ADD COLUMN held_ms INTEGER;
ALTER TABLE execution ADD COLUMN stage INTEGER NOT NULL DEFAULT -1;
ALTER TABLE execution ADD COLUMN overdue_from INTEGER NOT NULL DEFAULT 0;

CREATE INDEX execution_open_since ON execution (job_id, state, created_ms) WHERE state < 10;
CREATE INDEX execution_unreached ON execution (job_id, stage) WHERE state = 0 AND stage >= 0;

-- Every change of state of a rollout's execution, until the dispatcher has counted it: contacts
-- only add rows and never wait for each other. 31 is OVERDUE of what had begun.
CREATE TABLE rollout_event (
    event_id INTEGER PRIMARY KEY,
    job_id BLOB NOT NULL,
    agent_id TEXT NOT NULL,
    stage INTEGER NOT NULL,
    before INTEGER NOT NULL,
    after INTEGER NOT NULL
) STRICT;

CREATE INDEX rollout_event_of_job ON rollout_event (job_id, event_id);

CREATE TRIGGER execution_state_changes AFTER UPDATE OF state ON execution
WHEN NEW.stage >= 0 AND NEW.state <> OLD.state
BEGIN
    INSERT INTO rollout_event (job_id, agent_id, stage, before, after)
    VALUES (NEW.job_id, NEW.agent_id, NEW.stage,
        CASE WHEN OLD.state = 30 AND OLD.overdue_from IN (3, 4) THEN 31 ELSE OLD.state END,
        CASE WHEN NEW.state = 30 AND NEW.overdue_from IN (3, 4) THEN 31 ELSE NEW.state END);
END;
