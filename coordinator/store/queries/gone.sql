-- What becomes of the work of an agent that is let in no more.

-- name: executions_never_go
-- Never signed: nobody can have it. Of what is older than a restore nobody knows that here.
UPDATE execution SET state = $2, reason = $3, updated_ms = $4, version = version + 1
WHERE agent_id = $1 AND state = 0 AND signed_seq IS NULL
    AND job_id >= $5
RETURNING job_id;

-- name: executions_never_told
UPDATE execution SET overdue_from = CASE WHEN state = $2 THEN overdue_from ELSE state END,
    overdue_ms = coalesce(overdue_ms, CAST($4 AS BIGINT)), state = $2, reason = $3,
    updated_ms = $4, version = version + 1
WHERE agent_id = $1 AND (state < $5 OR state = $2) AND NOT (state = $2 AND reason = $3)
RETURNING job_id;

-- name: gone_of_job
SELECT a.agent_id, a.revoked_ms, a.leave_ms, a.left_ms
FROM execution e JOIN agent a ON a.agent_id = e.agent_id
WHERE e.job_id = $1 AND e.state = 0 AND (a.revoked_ms IS NOT NULL OR a.leave_ms IS NOT NULL);
