-- name: trigger_event
INSERT INTO trigger_firing (trigger_id, occasion, at_ms, agent_id, detail)
SELECT trigger_id, CAST($2 AS TEXT), CAST($3 AS BIGINT), CAST($4 AS TEXT), CAST($5 AS TEXT)
FROM job_trigger
WHERE kind = $1 AND paused_ms IS NULL AND deleted_ms IS NULL
    AND (threshold = 0 OR threshold > CAST($6 AS BIGINT))
ON CONFLICT (trigger_id, occasion) DO NOTHING;

-- name: trigger_job_ended
-- Nothing of it is open, nor its rollout, which may release more. One that went to nobody ended
-- nowhere; one that did not get to all of its agents failed.
INSERT INTO trigger_firing (trigger_id, occasion, at_ms, agent_id)
SELECT t.trigger_id, CAST($2 AS TEXT), CAST($3 AS BIGINT), ''
FROM job_trigger t JOIN job j ON j.job_id = $1 AND j.name = t.of_job
WHERE t.kind IN ('job.succeeded', 'job.failed') AND t.paused_ms IS NULL AND t.deleted_ms IS NULL
    AND NOT EXISTS (SELECT 1 FROM execution e WHERE e.job_id = $1 AND e.state < 10)
    AND NOT EXISTS (SELECT 1 FROM rollout r WHERE r.job_id = $1 AND r.state < 10)
    AND EXISTS (SELECT 1 FROM execution e WHERE e.job_id = $1)
    AND (t.kind = 'job.failed')
        = (EXISTS (SELECT 1 FROM execution e WHERE e.job_id = $1 AND e.state <> 10)
            OR (SELECT count(*) FROM execution e WHERE e.job_id = $1) < j.targets)
ON CONFLICT (trigger_id, occasion) DO NOTHING;

-- name: device_seen
INSERT INTO device_seen (agent_id, device, first_ms)
SELECT CAST($1 AS TEXT), CAST($2 AS TEXT), CAST($3 AS BIGINT)
WHERE NOT EXISTS (SELECT 1 FROM device_seen WHERE agent_id = $1 AND device = $2)
    AND (SELECT count(*) FROM device_seen WHERE agent_id = $1) < $4
ON CONFLICT (agent_id, device) DO NOTHING RETURNING device;

-- name: device_lost
UPDATE device_seen SET lost_ms = $3 WHERE agent_id = $1 AND device = $2 AND lost_ms IS NULL
RETURNING device;

-- name: device_found
UPDATE device_seen SET lost_ms = NULL
WHERE agent_id = $1 AND device = $2 AND lost_ms IS NOT NULL;

-- name: trigger_insert
INSERT INTO job_trigger (trigger_id, name, kind, document, author, selector, threshold, of_job,
    saved_ms, saved_by, done_ms, due_ms)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $9, $11);

-- name: trigger_replace
-- It stays the one it was: what it did, and that it rests, outlast what it says.
UPDATE job_trigger SET kind = $2, document = $3, author = $4, selector = $5, threshold = $6,
    of_job = $7, saved_ms = $8, saved_by = $9, done_ms = $8, due_ms = $10, version = version + 1
WHERE trigger_id = $1;

-- name: trigger_named
SELECT trigger_id, name, kind, document, author, selector, saved_ms, saved_by, paused_ms, done_ms,
    due_ms, version
FROM job_trigger WHERE name = $1 AND deleted_ms IS NULL;

-- name: trigger
SELECT trigger_id, name, kind, document, author, selector, saved_ms, saved_by, paused_ms, done_ms,
    due_ms, version
FROM job_trigger WHERE trigger_id = $1 AND deleted_ms IS NULL;

-- name: triggers_after
SELECT trigger_id, name, kind, document, author, selector, saved_ms, saved_by, paused_ms, done_ms,
    due_ms, version
FROM job_trigger WHERE name > $1 AND deleted_ms IS NULL ORDER BY name LIMIT $2;

-- name: trigger_pause
UPDATE job_trigger SET paused_ms = $2, version = version + 1 WHERE trigger_id = $1;

-- name: trigger_resume
UPDATE job_trigger SET paused_ms = NULL, done_ms = $2, due_ms = $3, version = version + 1
WHERE trigger_id = $1;

-- name: trigger_delete
UPDATE job_trigger SET deleted_ms = $2, version = version + 1 WHERE trigger_id = $1;

-- name: trigger_forget_waiting
DELETE FROM trigger_firing WHERE trigger_id = $1 AND outcome = '';

-- name: trigger_advance
UPDATE job_trigger SET done_ms = $3, due_ms = $4, version = version + 1
WHERE trigger_id = $1 AND version = $2 RETURNING version;

-- name: triggers_due
SELECT trigger_id FROM job_trigger
WHERE due_ms IS NOT NULL AND due_ms <= $1 AND paused_ms IS NULL AND deleted_ms IS NULL
ORDER BY due_ms LIMIT $2;

-- name: trigger_claim
SELECT trigger_id FROM job_trigger WHERE trigger_id = $1 FOR NO KEY UPDATE SKIP LOCKED;

-- name: trigger_next_due
SELECT due_ms FROM job_trigger
WHERE due_ms IS NOT NULL AND paused_ms IS NULL AND deleted_ms IS NULL ORDER BY due_ms LIMIT 1;

-- name: trigger_busy
-- A rollout may have nobody at work: it soaks between two stages, or waits for a person.
SELECT j.job_id FROM trigger_firing f JOIN job j ON j.job_id = f.job_id
WHERE f.trigger_id = $1 AND j.denied_ms IS NULL AND (
    (j.released_ms IS NULL AND j.expired_ms IS NULL AND j.cancel_ms IS NULL)
    OR EXISTS (SELECT 1 FROM execution e WHERE e.job_id = j.job_id AND e.state < 10)
    OR (j.cancel_ms IS NULL AND EXISTS (SELECT 1 FROM rollout r
        WHERE r.job_id = j.job_id AND r.state < 10)))
ORDER BY f.at_ms DESC LIMIT 1;

-- name: firing_begin
INSERT INTO trigger_firing (trigger_id, occasion, at_ms, agent_id) VALUES ($1, $2, $3, '')
ON CONFLICT (trigger_id, occasion) DO NOTHING RETURNING occasion;

-- name: firings_waiting
SELECT f.trigger_id, f.occasion
FROM trigger_firing f JOIN job_trigger t ON t.trigger_id = f.trigger_id
WHERE f.outcome = '' AND t.paused_ms IS NULL
ORDER BY f.at_ms LIMIT $1;

-- name: firing_waiting
SELECT at_ms, agent_id, detail FROM trigger_firing
WHERE trigger_id = $1 AND occasion = $2 AND outcome = '';

-- name: firing_settle
UPDATE trigger_firing SET outcome = $3, detail = $4, job_id = $5, done_ms = $6
WHERE trigger_id = $1 AND occasion = $2 AND outcome = '';

-- name: firings_lately
SELECT count(*), max(CASE WHEN agent_id = $3 THEN done_ms END)
FROM trigger_firing WHERE trigger_id = $1 AND outcome = 'submitted' AND done_ms > $2;

-- name: occasions_before
SELECT occasion, at_ms, agent_id, outcome, detail, job_id, done_ms FROM trigger_firing
WHERE trigger_id = $1 AND (at_ms, occasion) < ($2, $3)
ORDER BY at_ms DESC, occasion DESC LIMIT $4;

-- name: occasions_forget
DELETE FROM trigger_firing WHERE trigger_id = $1 AND outcome <> '' AND at_ms < (
    SELECT min(n.at_ms) FROM (
        SELECT o.at_ms FROM trigger_firing o WHERE o.trigger_id = $1
        ORDER BY o.at_ms DESC LIMIT $2) n);

-- name: firing_forget
DELETE FROM trigger_firing WHERE trigger_id = $1 AND occasion = $2;

-- name: trigger_edges
SELECT of_job, document FROM job_trigger
WHERE kind IN ('job.succeeded', 'job.failed') AND deleted_ms IS NULL;

-- name: triggers_counted
SELECT count(*) FROM job_trigger WHERE deleted_ms IS NULL;

-- name: trigger_newest_firing
SELECT at_ms, outcome, job_id FROM trigger_firing WHERE trigger_id = $1 AND outcome <> ''
ORDER BY at_ms DESC, occasion DESC LIMIT 1;
