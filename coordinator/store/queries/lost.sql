-- name: executions_lost
-- What an agent had by the word of another store than the one it has now, or than any that is known,
-- or by a number that this one has not come to: begun or not, it has no memory of it, and a deadline
-- may be months away or none at all.
UPDATE execution SET state = $3, overdue_from = state, overdue_ms = $4, reason = $5,
    updated_ms = $4, version = version + 1
WHERE agent_id = $1 AND state BETWEEN 1 AND 4 AND (fact_epoch <> coalesce(
    (SELECT ordinal FROM jobs_store WHERE agent_id = $1 AND epoch = $2), -1
) OR fact_number >= $6)
RETURNING job_id;

-- name: executions_unsure
-- Of a job whose id is older than a restore nobody knows here whether it was signed; who could tell has
-- no memory of it either.
UPDATE execution SET state = $2, overdue_from = state, overdue_ms = $3, reason = $4,
    updated_ms = $3, version = version + 1
WHERE agent_id = $1 AND state = 0 AND signed_seq IS NULL
    AND job_id < $5
RETURNING job_id, execution_id;

-- name: members_unsure
-- Of open rollouts, not released here, but perhaps by the coordinator that this one is a copy of.
SELECT m.job_id, m.stage, j.created_ms FROM rollout r
JOIN job j ON j.job_id = r.job_id
JOIN rollout_member m ON m.job_id = r.job_id AND m.agent_id = $1
WHERE r.state < 10 AND j.job_id < $2 AND m.execution_id IS NULL AND m.stage >= 0
ORDER BY m.job_id;

-- name: receipts_between
SELECT number, execution_id, device, state, attempt, wall_ms FROM receipt
WHERE agent_id = $1 AND execution_id = $2 AND epoch = $3 AND number BETWEEN $4 AND $5;

-- name: receipts_numbered
-- Whatever they are about: each receipt of the agent is looked at.
SELECT number, execution_id, device, state, attempt, wall_ms FROM receipt
WHERE agent_id = $1 AND epoch = $2 AND number BETWEEN $3 AND $4;
