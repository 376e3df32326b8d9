-- Finished jobs go when they are old: which of a job's executions changed last, and which rollout a
-- job takes back, is answered by an index.
CREATE INDEX execution_by_age ON execution (job_id, updated_ms);
CREATE INDEX rollout_by_undo ON rollout (undo) WHERE undo IS NOT NULL;
