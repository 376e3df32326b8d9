-- name: agents_in_state
SELECT agent_id, reason FROM execution WHERE job_id = $1 AND state = $2 ORDER BY agent_id;

-- name: results_in_state
SELECT execution.agent_id, task.result FROM execution
JOIN task ON task.agent_id = execution.agent_id AND task.execution_id = execution.execution_id
WHERE execution.job_id = $1 AND execution.state = $2 AND length(task.result) > 1;

-- name: audit_of_object
SELECT number, at_ms, actor, action, detail FROM audit
WHERE object = $1 AND number < $2 ORDER BY number DESC LIMIT $3;

-- name: job_wait
UPDATE job SET waits_for = $2, waits_outcome = $3 WHERE job_id = $1;

-- name: job_waits
SELECT waits_for, waits_outcome, begun_ms FROM job WHERE job_id = $1;

-- name: chains_waiting
SELECT job_id, waits_for, waits_outcome FROM job
WHERE waits_for IS NOT NULL AND begun_ms IS NULL AND released_ms IS NOT NULL
    AND denied_ms IS NULL AND cancel_ms IS NULL AND expired_ms IS NULL
ORDER BY job_id LIMIT $1;

-- name: chain_claim
SELECT job_id FROM job WHERE job_id = $1 FOR NO KEY UPDATE SKIP LOCKED;

-- name: job_begun
UPDATE job SET begun_ms = $2 WHERE job_id = $1 AND begun_ms IS NULL
    AND denied_ms IS NULL AND cancel_ms IS NULL AND expired_ms IS NULL RETURNING targets;
