-- A receipt is one row in one tree, beside the others of its execution: to keep it changes one page
-- where it were three. By its number it is only looked for where a store was put back.
CREATE TABLE receipt_of_execution (
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
    PRIMARY KEY (agent_id, execution_id, epoch, number)
) STRICT, WITHOUT ROWID;

INSERT INTO receipt_of_execution SELECT agent_id, epoch, number, execution_id, device, state, attempt,
    reason, wall_ms, detail, result, received_ms FROM receipt;
DROP TABLE receipt;
ALTER TABLE receipt_of_execution RENAME TO receipt;

-- Executions that ended stand in the order of their ends, so that whoever ends next changes no page
-- but the last of its state; those that did not stand in that of their release.
DROP INDEX execution_by_job;
CREATE INDEX execution_by_job ON execution
    (job_id, state, (CASE WHEN state < 10 THEN created_ms ELSE updated_ms END));
