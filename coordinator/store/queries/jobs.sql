-- name: job_insert
INSERT INTO job (job_id, name, digest, spec, job_class, targets, not_after_ms, created_ms,
    created_by, trace, author, threshold, released_ms, standing, origin, conflict_key, after_job)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17);

-- name: job
SELECT job_id, name, digest, spec, targets, not_after_ms, created_ms, created_by, job_class, author,
    threshold, released_ms, denied_ms, denied_by, denied_reason, expired_ms, standing, cancel_ms,
    cancel_by, origin, waits_for, waits_outcome, begun_ms, trace
FROM job WHERE job_id = $1;

-- name: jobs_before
SELECT job_id, name, digest, spec, targets, not_after_ms, created_ms, created_by, job_class, author,
    threshold, released_ms, denied_ms, denied_by, denied_reason, expired_ms, standing, cancel_ms,
    cancel_by, origin, waits_for, waits_outcome, begun_ms, trace
FROM job WHERE job_id < $1 AND ($3 = '' OR standing = $3) ORDER BY job_id DESC LIMIT $2;

-- name: job_counts
SELECT job_id, state, count(*) FROM execution
WHERE job_id BETWEEN $1 AND $2 GROUP BY job_id, state ORDER BY job_id, state;

-- name: idempotency
SELECT body_digest, job_id FROM idempotency
WHERE token_id = $1 AND key = $2 AND created_ms >= $3;

-- name: idempotency_insert
INSERT INTO idempotency (token_id, key, body_digest, job_id, created_ms)
VALUES ($1, $2, $3, $4, $5);

-- name: idempotency_forget
DELETE FROM idempotency WHERE created_ms < $1;

-- name: job_next_deadline
SELECT not_after_ms FROM job WHERE expired_ms IS NULL ORDER BY not_after_ms LIMIT 1;

-- name: jobs_due
SELECT job_id, standing <> '' FROM job WHERE expired_ms IS NULL AND not_after_ms <= $1
ORDER BY not_after_ms, job_id LIMIT $2 FOR NO KEY UPDATE SKIP LOCKED;

-- name: job_expired
UPDATE job SET expired_ms = $2 WHERE job_id = $1;

-- name: executions_expire
-- Of a job whose id is older than a restore nobody knows here whether it was ever signed, though
-- a stage was released since.
UPDATE execution SET state = $3, reason = $4, updated_ms = $5, version = version + 1
WHERE job_id = $1 AND state = $2 AND signed_seq IS NULL
    AND job_id >= $6;

-- name: executions_overdue
UPDATE execution SET state = $3, overdue_from = state, overdue_ms = $4, updated_ms = $4,
    version = version + 1
WHERE job_id = $1 AND state < $2 AND (state = 0 OR CAST($5 AS BIGINT) = 0);

-- name: execution_insert
INSERT INTO execution (agent_id, execution_id, job_id, state, created_ms, updated_ms)
VALUES ($1, $2, $3, 0, $4, $4);

-- name: execution_issuable
SELECT e.execution_id, j.spec, j.not_after_ms, j.job_class, j.job_id, j.threshold, t.proof,
    j.trace, e.signed_under
FROM execution e JOIN job j ON j.job_id = e.job_id
    LEFT JOIN job_target t ON t.job_id = e.job_id AND t.agent_id = e.agent_id
WHERE e.agent_id = $1 AND e.state = 0 AND e.cancel_ms IS NULL AND j.not_after_ms > $2
    AND j.held_ms IS NULL
    AND (e.signed_ms IS NULL OR e.signed_ms <= $3)
ORDER BY e.execution_id LIMIT $4;

-- name: execution_signed
UPDATE execution SET signed_seq = $3, signed_ms = $4, signed_under = coalesce(signed_under, $5)
WHERE agent_id = $1 AND execution_id = $2;

-- name: execution_lost
UPDATE execution SET reason = $3, updated_ms = $4, version = version + 1
WHERE agent_id = $1 AND execution_id = $2 AND reason <> $3;

-- name: jobs_epoch_of
SELECT jobs_epoch FROM contact WHERE agent_id = $1;

-- name: execution_known
SELECT job_id, state, reason, fact_epoch, fact_number, detail, since_ms, cancel_ms, cancel_how,
    signed_under
FROM execution WHERE agent_id = $1 AND execution_id = $2;

-- name: execution_save
UPDATE execution SET state = $3, reason = $4, fact_epoch = $5, fact_number = $6, updated_ms = $7,
    detail = $8, since_ms = $9, version = version + 1
WHERE agent_id = $1 AND execution_id = $2;

-- name: execution
SELECT execution_id, agent_id, job_id, state, reason, overdue_ms, created_ms, updated_ms, detail,
    since_ms, cancel_ms, cancel_how, superseded_by,
    (SELECT trace FROM job WHERE job.job_id = execution.job_id)
FROM execution WHERE execution_id = $1;

-- name: executions_of_job
SELECT execution_id, agent_id, job_id, state, reason, overdue_ms, created_ms, updated_ms, detail,
    since_ms, cancel_ms, cancel_how, superseded_by,
    (SELECT trace FROM job WHERE job.job_id = execution.job_id)
FROM execution
WHERE job_id = $1 AND execution_id < $2 AND (state = $3 OR $3 = -1) AND ($4 = '' OR agent_id = $4)
ORDER BY execution_id DESC LIMIT $5;

-- name: executions_of_agent
SELECT execution_id, agent_id, job_id, state, reason, overdue_ms, created_ms, updated_ms, detail,
    since_ms, cancel_ms, cancel_how, superseded_by,
    (SELECT trace FROM job WHERE job.job_id = execution.job_id)
FROM execution
WHERE agent_id = $1 AND execution_id < $2 AND (state = $3 OR $3 = -1)
ORDER BY execution_id DESC LIMIT $4;

-- name: executions_before
SELECT execution_id, agent_id, job_id, state, reason, overdue_ms, created_ms, updated_ms, detail,
    since_ms, cancel_ms, cancel_how, superseded_by,
    (SELECT trace FROM job WHERE job.job_id = execution.job_id)
FROM execution
WHERE execution_id < $1 AND (state = $2 OR $2 = -1)
ORDER BY execution_id DESC LIMIT $3;

-- name: task_known
SELECT device, state, attempt, reason, detail, result, fact_epoch, fact_number
FROM task WHERE agent_id = $1 AND execution_id = $2 ORDER BY device;

-- name: task_save
INSERT INTO task (agent_id, execution_id, device, state, attempt, reason, detail, result,
    fact_epoch, fact_number)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
ON CONFLICT (agent_id, execution_id, device) DO UPDATE SET
    state = excluded.state,
    attempt = excluded.attempt,
    reason = excluded.reason,
    detail = excluded.detail,
    result = excluded.result,
    fact_epoch = excluded.fact_epoch,
    fact_number = excluded.fact_number;

-- name: task_forget
DELETE FROM task WHERE agent_id = $1 AND execution_id = $2 AND device = $3;

-- name: jobs_store
-- And whether its agent had another store after it: somebody put the older one back.
SELECT s.ordinal, s.received, EXISTS (SELECT 1 FROM jobs_store n
    WHERE n.agent_id = s.agent_id AND n.ordinal > s.ordinal)
FROM jobs_store s WHERE s.agent_id = $1 AND s.epoch = $2;

-- name: jobs_store_insert
INSERT INTO jobs_store (agent_id, epoch, ordinal, received)
VALUES ($1, $2, (SELECT count(*) + 1 FROM jobs_store WHERE agent_id = $1), $3)
RETURNING ordinal, received, 0;

-- name: jobs_store_save
UPDATE jobs_store SET received = $3 WHERE agent_id = $1 AND epoch = $2;

-- name: receipt_insert
INSERT INTO receipt (agent_id, epoch, number, execution_id, device, state, attempt, reason,
    wall_ms, detail, result, received_ms)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12);

-- name: receipts_to_fold
SELECT epoch, number, device, state, attempt, reason, wall_ms, detail, result
FROM receipt WHERE agent_id = $1 AND execution_id = $2 ORDER BY epoch, number;

-- name: receipts_of_execution
-- The newest first.
SELECT number, device, state, attempt, reason, detail, wall_ms, received_ms
FROM receipt WHERE agent_id = $1 AND execution_id = $2
ORDER BY epoch DESC, number DESC LIMIT $3;
