-- Jobs that are called off, and what standing jobs did.

-- name: job_cancel
UPDATE job SET cancel_ms = $2, cancel_by = $3 WHERE job_id = $1 AND cancel_ms IS NULL;

-- name: newest_restore
SELECT coalesce(max(at_ms), 0) FROM restore;

-- name: executions_call_off
-- Of a job whose id is older than a restore nobody knows here whether it was ever signed.
UPDATE execution SET state = $2, reason = $3, cancel_ms = $4, cancel_how = $5, updated_ms = $4,
    version = version + 1
WHERE job_id = $1 AND state = 0 AND signed_seq IS NULL
    AND job_id >= $6
RETURNING agent_id;

-- name: executions_ask_to_stop
UPDATE execution SET cancel_ms = $2, version = version + 1
WHERE job_id = $1 AND cancel_ms IS NULL AND (state < $3 OR state = $4)
RETURNING agent_id;

-- name: executions_to_stop
SELECT execution_id FROM execution
WHERE agent_id = $1 AND cancel_ms IS NOT NULL AND cancel_how = ''
    AND (cancel_sent_ms IS NULL OR cancel_sent_ms <= $2 OR cancel_under <> $3)
ORDER BY execution_id LIMIT $4;

-- name: execution_stop_signed
UPDATE execution SET cancel_sent_ms = $3, cancel_under = $4
WHERE agent_id = $1 AND execution_id = $2;

-- name: execution_stopped
UPDATE execution SET cancel_how = $3 WHERE agent_id = $1 AND execution_id = $2;

-- name: firing_insert
INSERT INTO firing (agent_id, epoch, number, execution_id, job_id, device, first_ms, last_ms, count,
    state, reason, detail, severity, result, received_ms)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
ON CONFLICT DO NOTHING;

-- name: firing_again
SELECT coalesce((SELECT min(number) FROM firing WHERE agent_id = $1 AND epoch = $2), 0),
    (SELECT count(*) FROM firing WHERE agent_id = $1 AND epoch = $2 AND execution_id = $3
        AND first_ms = $4 AND last_ms = $5 AND count = $6 AND state = $7
        AND device = $8 AND detail = $9);

-- name: firings_forget_most
DELETE FROM firing WHERE firing_id IN (
    SELECT firing_id FROM firing WHERE agent_id = $1 AND execution_id = $2
    ORDER BY last_ms DESC, firing_id DESC LIMIT $4 OFFSET $3);

-- name: firings_of_job
SELECT f.firing_id, f.agent_id, f.job_id, coalesce(j.name, ''), f.execution_id, f.device,
    f.first_ms, f.last_ms, f.count, f.state, f.reason, f.detail, f.severity, f.result, f.received_ms
FROM firing f LEFT JOIN job j ON j.job_id = f.job_id
WHERE f.job_id = $1 AND (f.last_ms, f.firing_id) < ($2, $3) AND ($4 = '' OR f.agent_id = $4)
ORDER BY f.last_ms DESC, f.firing_id DESC LIMIT $5;

-- name: alarms_before
SELECT f.firing_id, f.agent_id, f.job_id, coalesce(j.name, ''), f.execution_id, f.device,
    f.first_ms, f.last_ms, f.count, f.state, f.reason, f.detail, f.severity, f.result, f.received_ms
FROM firing f LEFT JOIN job j ON j.job_id = f.job_id
WHERE f.severity <> '' AND (f.last_ms, f.firing_id) < ($1, $2) AND ($3 = '' OR f.severity = $3)
    AND ($4 = '' OR f.agent_id = $4) AND (f.job_id = $5 OR $5 IS NULL) AND f.last_ms >= $6
ORDER BY f.last_ms DESC, f.firing_id DESC LIMIT $7;

-- name: firings_older
SELECT count(*), coalesce(sum(length(result)), 0) FROM firing WHERE received_ms < $1;

-- name: firings_drop
DELETE FROM firing WHERE firing_id IN (
    SELECT firing_id FROM firing WHERE received_ms < $1 ORDER BY received_ms LIMIT $2)
RETURNING firing_id;

-- name: standing_of_job
SELECT e.execution_id, e.agent_id, e.job_id, j.name, j.standing, j.spec, j.not_after_ms, e.state,
    e.reason, e.detail, e.since_ms, e.cancel_ms, e.updated_ms
FROM execution e JOIN job j ON j.job_id = e.job_id
WHERE e.job_id = $1 AND j.standing <> '' AND ($2 = '' OR j.standing = $2)
    AND ($3 = '' OR e.agent_id = $3) AND e.execution_id < $4
ORDER BY e.execution_id DESC LIMIT $5;

-- name: standing_of_agent
SELECT e.execution_id, e.agent_id, e.job_id, j.name, j.standing, j.spec, j.not_after_ms, e.state,
    e.reason, e.detail, e.since_ms, e.cancel_ms, e.updated_ms
FROM execution e JOIN job j ON j.job_id = e.job_id
WHERE e.agent_id = $1 AND j.standing <> '' AND ($2 = '' OR j.standing = $2)
    AND e.execution_id < $3
ORDER BY e.execution_id DESC LIMIT $4;

-- name: standing_before
-- Few jobs stand: from them to their executions, never through all executions there are.
SELECT e.execution_id, e.agent_id, e.job_id, j.name, j.standing, j.spec, j.not_after_ms, e.state,
    e.reason, e.detail, e.since_ms, e.cancel_ms, e.updated_ms
FROM job j CROSS JOIN execution e
WHERE e.job_id = j.job_id AND j.standing <> '' AND ($1 = '' OR j.standing = $1)
    AND e.execution_id < $2
ORDER BY e.execution_id DESC LIMIT $3;

-- name: firing_newest
-- What one found out about a device is no firing by itself.
SELECT last_ms, state, reason FROM firing
WHERE agent_id = $1 AND execution_id = $2 AND (device = '' OR severity <> '')
ORDER BY last_ms DESC, firing_id DESC LIMIT 1;

-- name: firings_counted
SELECT coalesce(sum(count), 0) FROM firing
WHERE agent_id = $1 AND execution_id = $2 AND (device = '' OR severity <> '');
