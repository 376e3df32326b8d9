-- Jobs that are called off, that stand, and what standing ones did.

-- `standing`: 'schedule', 'rule', or empty for a job that runs once.
ALTER TABLE job ADD COLUMN standing TEXT NOT NULL DEFAULT '';
ALTER TABLE job ADD COLUMN cancel_ms INTEGER;
ALTER TABLE job ADD COLUMN cancel_by TEXT NOT NULL DEFAULT '';

CREATE INDEX job_standing ON job (standing, job_id) WHERE standing <> '';
CREATE INDEX job_canceled ON job (job_id) WHERE cancel_ms IS NOT NULL;

-- `detail` and `since_ms` (by the agent's clock) are of the receipt that set the state. An execution
-- that is called off is open while `cancel_how` is empty: each bundle says so, `cancel_under` is
-- the jobs store that was last told.
ALTER TABLE execution ADD COLUMN detail TEXT NOT NULL DEFAULT '';
ALTER TABLE execution ADD COLUMN since_ms INTEGER;
ALTER TABLE execution ADD COLUMN cancel_ms INTEGER;
ALTER TABLE execution ADD COLUMN cancel_sent_ms INTEGER;
ALTER TABLE execution ADD COLUMN cancel_under BLOB NOT NULL DEFAULT x'';
ALTER TABLE execution ADD COLUMN cancel_how TEXT NOT NULL DEFAULT '';

CREATE INDEX execution_canceling ON execution (agent_id, execution_id)
    WHERE cancel_ms IS NOT NULL AND cancel_how = '';

-- What a standing job did while nobody looked: one row for several firings in a row that ended
-- alike. `severity` is empty unless it is an alarm. `job_id` is null where nobody knows the job.
CREATE TABLE firing (
    firing_id INTEGER PRIMARY KEY,
    agent_id TEXT NOT NULL REFERENCES agent,
    epoch INTEGER NOT NULL,
    number INTEGER NOT NULL,
    execution_id BLOB NOT NULL,
    job_id BLOB,
    device TEXT NOT NULL,
    first_ms INTEGER NOT NULL,
    last_ms INTEGER NOT NULL,
    count INTEGER NOT NULL,
    state INTEGER NOT NULL,
    reason INTEGER NOT NULL,
    detail TEXT NOT NULL,
    severity TEXT NOT NULL,
    result BLOB NOT NULL,
    received_ms INTEGER NOT NULL,
    UNIQUE (agent_id, epoch, number)
) STRICT;

CREATE INDEX firing_by_execution ON firing (agent_id, execution_id, last_ms, firing_id, count);
CREATE INDEX firing_by_job ON firing (job_id, last_ms, firing_id);
CREATE INDEX firing_alarm ON firing (last_ms, firing_id) WHERE severity <> '';
CREATE INDEX firing_by_age ON firing (received_ms);
