-- What a rollout asks at each of its steps is answered by an index. A partial one is no help where
-- the state or the stage is a parameter: whether it holds is not known when the query is planned.

DROP INDEX execution_open_since;
DROP INDEX execution_by_job;
CREATE INDEX execution_by_job ON execution (job_id, state, created_ms);

DROP INDEX execution_unreached;
CREATE INDEX execution_unreached ON execution (job_id, stage) WHERE state = 0;
