-- name: approval_question
SELECT job_id, name, digest, spec, job_class, author, threshold, released_ms, denied_ms, denied_by,
    denied_reason, not_after_ms, expired_ms, created_ms, targets
FROM job WHERE job_id = $1 AND threshold > 0;

-- name: approvals_pending
SELECT job_id FROM job
WHERE job_id < $1 AND released_ms IS NULL AND denied_ms IS NULL AND expired_ms IS NULL
ORDER BY job_id DESC LIMIT $2;

-- name: approvals_all
SELECT job_id FROM job WHERE job_id < $1 AND threshold > 0 ORDER BY job_id DESC LIMIT $2;

-- name: approval_save
INSERT INTO approval (job_id, key_id, person, envelope, not_after_ms, max_executions, received_ms)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (job_id, key_id) DO UPDATE SET
    person = excluded.person,
    envelope = excluded.envelope,
    not_after_ms = excluded.not_after_ms,
    max_executions = excluded.max_executions,
    received_ms = excluded.received_ms;

-- name: approvals_of_job
SELECT key_id, person, envelope, not_after_ms, max_executions, received_ms
FROM approval WHERE job_id = $1 ORDER BY received_ms, key_id;

-- name: approvals_granted
SELECT a.envelope FROM approval a JOIN job j ON j.job_id = a.job_id
WHERE a.job_id = $1 AND a.not_after_ms >= j.not_after_ms ORDER BY a.key_id;

-- name: released_before
SELECT count(*) FROM job
WHERE digest = $1 AND threshold > 0 AND released_ms IS NOT NULL AND job_id <> $2;

-- name: job_target_insert
INSERT INTO job_target (job_id, agent_id) VALUES ($1, $2);

-- name: targets_of_job
SELECT agent_id FROM job_target WHERE job_id = $1 ORDER BY agent_id;

-- name: job_target_prove
UPDATE job_target SET proof = $3 WHERE job_id = $1 AND agent_id = $2;

-- name: job_release
UPDATE job SET released_ms = $2, not_after_ms = $3 WHERE job_id = $1;

-- name: job_deny
UPDATE job SET denied_ms = $2, denied_by = $3, denied_reason = $4 WHERE job_id = $1;

-- name: jobs_unreleased
SELECT CASE WHEN denied_ms IS NOT NULL THEN 'DENIED' WHEN expired_ms IS NOT NULL THEN 'EXPIRED'
    ELSE 'PENDING_APPROVAL' END AS state, count(*)
FROM job WHERE released_ms IS NULL AND cancel_ms IS NULL GROUP BY state;
