-- Finished jobs go with all that was kept of them, a little at a time.

-- name: jobs_from
SELECT job_id FROM job WHERE job_id > $1 AND job_id < $2 ORDER BY job_id LIMIT $3;

-- name: job_is_over
-- Nothing of it can begin any more, nobody is asked about it, nothing waits for it or names it, every
-- agent told its end, and all of that is older than $2. OVERDUE (30) is presumed: it stays, but for
-- an agent that is let in no more, whose word can never come. $3 is the present: an approval that
-- still holds counts the jobs that were released with it. Each state is named, and its newest is
-- asked for as `execution_by_job` has it: a job of a hundred thousand gateways has as many rows.
SELECT j.job_id FROM job j
WHERE j.job_id = $1 AND j.created_ms < $2
    AND (j.expired_ms IS NOT NULL OR j.cancel_ms IS NOT NULL OR j.denied_ms IS NOT NULL)
    AND (j.cancel_ms IS NULL OR j.cancel_ms < $2) AND (j.denied_ms IS NULL OR j.denied_ms < $2)
    AND NOT EXISTS (SELECT 1 FROM execution e WHERE e.job_id = j.job_id AND e.state < 10)
    AND NOT EXISTS (SELECT 1 FROM execution e JOIN agent a ON a.agent_id = e.agent_id
        WHERE e.job_id = j.job_id AND e.state >= 30 AND a.revoked_ms IS NULL AND a.left_ms IS NULL)
    AND NOT EXISTS (SELECT 1 FROM execution e WHERE e.job_id = j.job_id
        AND e.state IN (10, 11, 12, 13, 14, 15, 16, 17, 20, 21, 22, 30)
        AND CASE WHEN e.state < 10 THEN e.created_ms ELSE e.updated_ms END >= $2)
    AND NOT EXISTS (
        SELECT 1 FROM rollout r WHERE r.job_id = j.job_id AND (r.state < 10 OR r.updated_ms >= $2))
    AND NOT EXISTS (SELECT 1 FROM rollout r WHERE r.undo = j.job_id)
    AND NOT EXISTS (SELECT 1 FROM job w WHERE w.waits_for = j.job_id AND w.begun_ms IS NULL)
    AND NOT EXISTS (SELECT 1 FROM job w WHERE w.after_job = j.job_id)
    AND NOT EXISTS (SELECT 1 FROM approval a WHERE a.job_id = j.job_id AND a.not_after_ms >= $3);

-- name: job_weighs
SELECT count(*),
    coalesce(sum((SELECT count(*) FROM task t
        WHERE t.agent_id = e.agent_id AND t.execution_id = e.execution_id)), 0),
    coalesce(sum((SELECT count(*) FROM receipt r
        WHERE r.agent_id = e.agent_id AND r.execution_id = e.execution_id)), 0),
    (SELECT count(*) FROM firing f WHERE f.job_id = $1)
FROM execution e WHERE e.job_id = $1;

-- name: firings_of_job_drop
DELETE FROM firing WHERE firing_id IN (
    SELECT firing_id FROM firing WHERE job_id = $1 LIMIT $2)
RETURNING firing_id;

-- name: execution_first_of_job
SELECT agent_id, execution_id FROM execution WHERE job_id = $1 LIMIT 1;

-- name: receipts_drop
DELETE FROM receipt WHERE (agent_id, execution_id, epoch, number) IN (
    SELECT agent_id, execution_id, epoch, number FROM receipt
    WHERE agent_id = $1 AND execution_id = $2 LIMIT $3)
RETURNING number;

-- name: tasks_drop
DELETE FROM task WHERE (agent_id, execution_id, device) IN (
    SELECT agent_id, execution_id, device FROM task
    WHERE agent_id = $1 AND execution_id = $2 LIMIT $3)
RETURNING device;

-- name: execution_forget
DELETE FROM execution WHERE agent_id = $1 AND execution_id = $2;

-- name: job_targets_drop
DELETE FROM job_target WHERE (job_id, agent_id) IN (
    SELECT job_id, agent_id FROM job_target WHERE job_id = $1 LIMIT $2)
RETURNING agent_id;

-- name: approvals_drop
DELETE FROM approval WHERE (job_id, key_id) IN (
    SELECT job_id, key_id FROM approval WHERE job_id = $1 LIMIT $2)
RETURNING key_id;

-- name: job_artifacts_drop
DELETE FROM job_artifact WHERE (job_id, digest) IN (
    SELECT job_id, digest FROM job_artifact WHERE job_id = $1 LIMIT $2)
RETURNING digest;

-- name: rollout_members_drop
DELETE FROM rollout_member WHERE (job_id, agent_id) IN (
    SELECT job_id, agent_id FROM rollout_member WHERE job_id = $1 LIMIT $2)
RETURNING agent_id;

-- name: rollout_sites_drop
DELETE FROM rollout_site WHERE (job_id, site) IN (
    SELECT job_id, site FROM rollout_site WHERE job_id = $1 LIMIT $2)
RETURNING site;

-- name: rollout_events_drop
DELETE FROM rollout_event WHERE event_id IN (
    SELECT event_id FROM rollout_event WHERE job_id = $1 LIMIT $2)
RETURNING event_id;

-- name: rollout_counts_drop
DELETE FROM rollout_count WHERE (job_id, stage, state) IN (
    SELECT job_id, stage, state FROM rollout_count WHERE job_id = $1 LIMIT $2)
RETURNING stage;

-- name: rollout_stages_drop
DELETE FROM rollout_stage WHERE (job_id, stage) IN (
    SELECT job_id, stage FROM rollout_stage WHERE job_id = $1 LIMIT $2)
RETURNING stage;

-- name: rollout_forget
DELETE FROM rollout WHERE job_id = $1;

-- name: job_completed_forget
DELETE FROM job_completed WHERE job_id = $1;

-- name: job_forget
DELETE FROM job WHERE job_id = $1;
