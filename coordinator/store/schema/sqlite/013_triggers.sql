-- Newer jobs replace older ones, jobs wait for jobs, and jobs are made by themselves.

-- The newer job of the same conflict key, or newer configuration, for which it was dropped.
ALTER TABLE execution ADD COLUMN superseded_by BLOB;

-- Another job whose end the coordinator waits for before this one goes out, and how it must end.
ALTER TABLE job ADD COLUMN waits_for BLOB;
ALTER TABLE job ADD COLUMN waits_outcome TEXT NOT NULL DEFAULT '';
ALTER TABLE job ADD COLUMN begun_ms INTEGER;

CREATE INDEX job_waits ON job (waits_for) WHERE waits_for IS NOT NULL AND begun_ms IS NULL;
CREATE INDEX audit_by_object ON audit (object, number);

-- Who or what submits jobs by itself: `kind` is 'schedule' or the event it listens to. `document` is
-- the trigger as it was saved, its template's version pinned. `due_ms` is when a schedule is looked
-- at next, `done_ms` the newest nominal time that was dealt with.
CREATE TABLE job_trigger (
    trigger_id BLOB PRIMARY KEY,
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    document TEXT NOT NULL,
    author TEXT NOT NULL,
    selector TEXT NOT NULL,
    threshold INTEGER NOT NULL,
    of_job TEXT NOT NULL,
    saved_ms INTEGER NOT NULL,
    saved_by TEXT NOT NULL,
    paused_ms INTEGER,
    deleted_ms INTEGER,
    done_ms INTEGER NOT NULL,
    due_ms INTEGER,
    version INTEGER NOT NULL DEFAULT 1
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX job_trigger_name ON job_trigger (name) WHERE deleted_ms IS NULL;
CREATE INDEX job_trigger_due ON job_trigger (due_ms)
    WHERE due_ms IS NOT NULL AND paused_ms IS NULL AND deleted_ms IS NULL;
CREATE INDEX job_trigger_kind ON job_trigger (kind) WHERE paused_ms IS NULL AND deleted_ms IS NULL;

-- What a trigger did about each occasion, once: `occasion` is the nominal time or the event. An empty
-- `outcome` waits to be dealt with.
CREATE TABLE trigger_firing (
    trigger_id BLOB NOT NULL REFERENCES job_trigger,
    occasion TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    agent_id TEXT NOT NULL,
    outcome TEXT NOT NULL DEFAULT '',
    detail TEXT NOT NULL DEFAULT '',
    job_id BLOB,
    done_ms INTEGER,
    PRIMARY KEY (trigger_id, occasion)
) STRICT, WITHOUT ROWID;

CREATE INDEX trigger_firing_waits ON trigger_firing (at_ms) WHERE outcome = '';
CREATE INDEX trigger_firing_newest ON trigger_firing (trigger_id, at_ms);

-- Devices an agent was heard to have, for what is new and what fell silent.
CREATE TABLE device_seen (
    agent_id TEXT NOT NULL REFERENCES agent,
    device TEXT NOT NULL,
    first_ms INTEGER NOT NULL,
    lost_ms INTEGER,
    PRIMARY KEY (agent_id, device)
) STRICT, WITHOUT ROWID;
