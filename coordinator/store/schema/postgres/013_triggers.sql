-- Newer jobs replace older ones, jobs wait for jobs, and jobs are made by themselves.

-- The newer job of the same conflict key, or newer configuration, for which it was dropped.
ALTER TABLE execution ADD COLUMN superseded_by BYTEA;

-- Another job whose end the coordinator waits for before this one goes out, and how it must end.
ALTER TABLE job ADD COLUMN waits_for BYTEA;
ALTER TABLE job ADD COLUMN waits_outcome TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE job ADD COLUMN begun_ms BIGINT;

CREATE INDEX job_waits ON job (waits_for) WHERE waits_for IS NOT NULL AND begun_ms IS NULL;
CREATE INDEX audit_by_object ON audit (object, number);

-- Who or what submits jobs by itself: `kind` is 'schedule' or the event it listens to. `document` is
-- the trigger as it was saved, its template's version pinned. `due_ms` is when a schedule is looked
-- at next, `done_ms` the newest nominal time that was dealt with.
CREATE TABLE job_trigger (
    trigger_id BYTEA PRIMARY KEY,
    name TEXT COLLATE "C" NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    document TEXT COLLATE "C" NOT NULL,
    author TEXT COLLATE "C" NOT NULL,
    selector TEXT COLLATE "C" NOT NULL,
    threshold BIGINT NOT NULL,
    of_job TEXT COLLATE "C" NOT NULL,
    saved_ms BIGINT NOT NULL,
    saved_by TEXT COLLATE "C" NOT NULL,
    paused_ms BIGINT,
    deleted_ms BIGINT,
    done_ms BIGINT NOT NULL,
    due_ms BIGINT,
    version BIGINT NOT NULL DEFAULT 1
);

CREATE UNIQUE INDEX job_trigger_name ON job_trigger (name) WHERE deleted_ms IS NULL;
CREATE INDEX job_trigger_due ON job_trigger (due_ms)
    WHERE due_ms IS NOT NULL AND paused_ms IS NULL AND deleted_ms IS NULL;
CREATE INDEX job_trigger_kind ON job_trigger (kind) WHERE paused_ms IS NULL AND deleted_ms IS NULL;

-- What a trigger did about each occasion, once: `occasion` is the nominal time or the event. An empty
-- `outcome` waits to be dealt with.
CREATE TABLE trigger_firing (
    trigger_id BYTEA NOT NULL REFERENCES job_trigger,
    occasion TEXT COLLATE "C" NOT NULL,
    at_ms BIGINT NOT NULL,
    agent_id TEXT COLLATE "C" NOT NULL,
    outcome TEXT COLLATE "C" NOT NULL DEFAULT '',
    detail TEXT COLLATE "C" NOT NULL DEFAULT '',
    job_id BYTEA,
    done_ms BIGINT,
    PRIMARY KEY (trigger_id, occasion)
);

CREATE INDEX trigger_firing_waits ON trigger_firing (at_ms) WHERE outcome = '';
CREATE INDEX trigger_firing_newest ON trigger_firing (trigger_id, at_ms);

-- Devices an agent was heard to have, for what is new and what fell silent.
CREATE TABLE device_seen (
    agent_id TEXT COLLATE "C" NOT NULL REFERENCES agent,
    device TEXT COLLATE "C" NOT NULL,
    first_ms BIGINT NOT NULL,
    lost_ms BIGINT,
    PRIMARY KEY (agent_id, device)
);
