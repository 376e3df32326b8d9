-- name: conflict_key_of_job
SELECT conflict_key FROM job WHERE job_id = $1;

-- name: rivals_waiting
SELECT job_id FROM job j WHERE conflict_key = $1 AND job_id < $2
    AND EXISTS (SELECT 1 FROM execution e WHERE e.job_id = j.job_id AND e.state = 0);

-- name: execution_late
-- This job's own execution, where a newer job of the key was there before it: one that may have
-- come there, or that goes out now. What was REJECTED, EXPIRED, CANCELED or REMOVED was never done;
-- what another job of the key took the place of was not either: that one is asked for itself.
WITH newer AS (
    SELECT n.job_id FROM job n JOIN execution o ON o.job_id = n.job_id
    WHERE n.conflict_key = $3 AND n.job_id > $2 AND o.agent_id = $1
        AND o.state NOT IN (15, 17, 20, 22) AND (o.state <> $4 OR NOT EXISTS (
            SELECT 1 FROM job s WHERE s.job_id = o.superseded_by AND s.conflict_key = $3))
        AND (o.signed_seq IS NOT NULL OR o.state > 0 OR n.job_id < $7
            OR (n.held_ms IS NULL AND n.not_after_ms > $6))
    ORDER BY n.job_id DESC LIMIT 1
)
UPDATE execution SET state = $4, reason = $5, updated_ms = $6, version = version + 1,
    superseded_by = (SELECT job_id FROM newer)
WHERE agent_id = $1 AND job_id = $2 AND state = 0 AND signed_seq IS NULL
    AND EXISTS (SELECT 1 FROM newer);

-- name: executions_supersede
-- Of a job whose id is older than a restore nobody knows here whether it was ever signed.
UPDATE execution SET state = $4, reason = $5, superseded_by = $2, updated_ms = $6,
    version = version + 1
WHERE agent_id = $1 AND state = 0 AND signed_seq IS NULL AND cancel_ms IS NULL
    AND job_id >= $7
    AND job_id IN (SELECT j.job_id FROM job j WHERE j.conflict_key = $3 AND j.job_id < $2)
    AND EXISTS (SELECT 1 FROM execution o WHERE o.agent_id = $1 AND o.job_id = $2 AND o.state = 0)
    AND NOT EXISTS (
        SELECT 1 FROM job w JOIN execution d ON d.job_id = w.job_id
        WHERE w.after_job = execution.job_id AND d.agent_id = execution.agent_id AND d.state < 10);

-- name: executions_call_back
UPDATE execution SET cancel_ms = $4, superseded_by = $2, version = version + 1
WHERE agent_id = $1 AND state IN (0, 1, 2) AND cancel_ms IS NULL
    AND (signed_seq IS NOT NULL OR job_id < $5)
    AND job_id IN (SELECT j.job_id FROM job j WHERE j.conflict_key = $3 AND j.job_id < $2)
    AND EXISTS (SELECT 1 FROM execution o WHERE o.agent_id = $1 AND o.job_id = $2 AND o.state = 0)
    AND NOT EXISTS (
        SELECT 1 FROM job w JOIN execution d ON d.job_id = w.job_id
        WHERE w.after_job = execution.job_id AND d.agent_id = execution.agent_id AND d.state < 10);

-- name: executions_waiting
-- What is over takes no place, and what a pause holds back only keeps what it waits for.
SELECT e.execution_id, e.job_id, j.spec, j.after_job, j.held_ms IS NOT NULL
FROM execution e JOIN job j ON j.job_id = e.job_id
WHERE e.agent_id = $1 AND e.state = 0 AND e.cancel_ms IS NULL AND e.signed_seq IS NULL
    AND e.job_id >= $2 AND j.not_after_ms > $3
ORDER BY e.execution_id DESC LIMIT $4;

-- name: execution_drop
UPDATE execution SET state = $4, reason = $5, superseded_by = $3, updated_ms = $6,
    version = version + 1
WHERE agent_id = $1 AND execution_id = $2 AND state = 0 AND signed_seq IS NULL;
