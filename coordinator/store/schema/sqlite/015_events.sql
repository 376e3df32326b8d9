-- What happened, written in the transaction of what it tells.

-- Events are told in the order of (txn, number), and only those below the horizon: here a single
-- writer commits one transaction after the other, so every event may be told at once.
-- `before` and `after` are states of an execution, -1: none. `object` names what is neither an
-- agent, a job nor an execution.
CREATE TABLE event (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    txn INTEGER NOT NULL DEFAULT 0,
    at_ms INTEGER NOT NULL,
    type TEXT NOT NULL,
    agent_id TEXT NOT NULL DEFAULT '',
    device TEXT NOT NULL DEFAULT '',
    job_id BLOB,
    execution_id BLOB,
    before INTEGER NOT NULL DEFAULT -1,
    after INTEGER NOT NULL DEFAULT -1,
    reason INTEGER NOT NULL DEFAULT 0,
    actor TEXT NOT NULL DEFAULT '',
    object TEXT NOT NULL DEFAULT '',
    detail TEXT NOT NULL DEFAULT '{}'
) STRICT;

CREATE INDEX event_by_place ON event (txn, number);

CREATE VIEW event_horizon AS SELECT 9223372036854775807 AS txn;

-- A database that was put back numbers its events from far above all that were ever told.
CREATE TABLE event_jump (number INTEGER PRIMARY KEY) STRICT;

CREATE TRIGGER event_numbers_jump AFTER INSERT ON event_jump
BEGIN
    UPDATE event SET txn = 0 WHERE txn <> 0;
    DELETE FROM sqlite_sequence WHERE name = 'event';
    INSERT INTO sqlite_sequence (name, seq) VALUES ('event', NEW.number);
END;

-- Whoever changes an execution's state tells it: nobody can forget to, and it costs no question.
CREATE TRIGGER execution_state_is_told AFTER UPDATE OF state ON execution
WHEN NEW.state <> OLD.state
BEGIN
    INSERT INTO event (at_ms, type, agent_id, job_id, execution_id, before, after, reason)
    VALUES (NEW.updated_ms, 'execution.changed', NEW.agent_id, NEW.job_id, NEW.execution_id,
        OLD.state, NEW.state, NEW.reason);
END;

-- Jobs whose end was told, agents whose silence was, and how far the teller has read.
CREATE TABLE job_completed (
    job_id BLOB PRIMARY KEY REFERENCES job,
    at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE agent_silent (
    agent_id TEXT PRIMARY KEY REFERENCES agent,
    at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE event_read (
    reader TEXT PRIMARY KEY,
    txn INTEGER NOT NULL,
    number INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
