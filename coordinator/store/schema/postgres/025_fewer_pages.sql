-- A receipt has one index, beside the others of its execution. By its number it is only looked for
-- where a store was put back.
DROP INDEX receipt_by_execution;
ALTER TABLE receipt DROP CONSTRAINT receipt_pkey;
ALTER TABLE receipt ADD PRIMARY KEY (agent_id, execution_id, epoch, number);

-- Executions that ended stand in the order of their ends, so that whoever ends next changes no page
-- but the last of its state; those that did not stand in that of their release.
DROP INDEX execution_by_job;
CREATE INDEX execution_by_job ON execution
    (job_id, state, (CASE WHEN state < 10 THEN created_ms ELSE updated_ms END));
