-- What happened, in the order in which it is told.

-- name: event_insert
INSERT INTO event (at_ms, type, agent_id, device, job_id, execution_id, actor, object, detail)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9);

-- name: events_after
SELECT txn, number, at_ms, type, agent_id, device, job_id, execution_id, before, after, reason,
    actor, object, detail
FROM event
WHERE (txn, number) > ($1, $2) AND txn < (SELECT h.txn FROM event_horizon h)
    AND ($3 = '' OR type = $3 OR substr(type, 1, length($3) + 1) = $3 || '.')
    AND ($4 = '' OR agent_id = $4) AND ($5 = '' OR device = $5)
    AND (job_id = $6 OR $6 IS NULL) AND (execution_id = $7 OR $7 IS NULL)
    AND ($8 = '' OR object = $8)
ORDER BY txn, number LIMIT $9;

-- name: events_before
SELECT txn, number, at_ms, type, agent_id, device, job_id, execution_id, before, after, reason,
    actor, object, detail
FROM event
WHERE (txn, number) < ($1, $2) AND txn < (SELECT h.txn FROM event_horizon h)
    AND ($3 = '' OR type = $3 OR substr(type, 1, length($3) + 1) = $3 || '.')
    AND ($4 = '' OR agent_id = $4) AND ($5 = '' OR device = $5)
    AND (job_id = $6 OR $6 IS NULL) AND (execution_id = $7 OR $7 IS NULL)
    AND ($8 = '' OR object = $8)
ORDER BY txn DESC, number DESC LIMIT $9;

-- name: event_place
SELECT txn, number FROM event WHERE number = $1;

-- name: event_place_beyond
SELECT txn, number FROM event
WHERE number > $1 AND txn < (SELECT h.txn FROM event_horizon h)
ORDER BY txn, number LIMIT 1;

-- name: event_newest
SELECT txn, number FROM event WHERE txn < (SELECT h.txn FROM event_horizon h)
ORDER BY txn DESC, number DESC LIMIT 1;

-- name: event_held
SELECT txn, number FROM event WHERE txn >= (SELECT h.txn FROM event_horizon h)
ORDER BY txn, number LIMIT 1;

-- name: event_jump
INSERT INTO event_jump (number) VALUES ($1) ON CONFLICT DO NOTHING;

-- name: event_read
SELECT txn, number FROM event_read WHERE reader = $1;

-- name: event_read_save
INSERT INTO event_read (reader, txn, number) VALUES ($1, $2, $3)
ON CONFLICT (reader) DO UPDATE SET txn = excluded.txn, number = excluded.number;

-- name: jobs_touched
SELECT txn, number, CASE WHEN after = -1 OR after >= 10 THEN job_id END FROM event
WHERE (txn, number) > ($1, $2) AND txn < (SELECT h.txn FROM event_horizon h)
ORDER BY txn, number LIMIT $3;

-- name: job_completed
INSERT INTO job_completed (job_id, at_ms) VALUES ($1, $2)
ON CONFLICT (job_id) DO NOTHING RETURNING job_id;

-- name: job_is_busy
SELECT job_id FROM execution WHERE job_id = $1 AND state < 10 LIMIT 1;

-- name: agents_silent
SELECT c.agent_id FROM contact c JOIN agent a ON a.agent_id = c.agent_id
    LEFT JOIN agent_silent s ON s.agent_id = c.agent_id
WHERE s.agent_id IS NULL AND a.revoked_ms IS NULL AND a.left_ms IS NULL
    AND CASE WHEN c.last_ms < $2 THEN $2 ELSE c.last_ms END < CAST($1 AS BIGINT) - $3
    AND CASE WHEN c.last_ms < $2 THEN $2 ELSE c.last_ms END
        < CAST($1 AS BIGINT) - CAST($4 AS BIGINT) * coalesce(c.interval_ms, 0)
ORDER BY c.agent_id LIMIT $5;

-- name: agent_fell_silent
INSERT INTO agent_silent (agent_id, at_ms)
SELECT agent_id, CAST($2 AS BIGINT) FROM contact WHERE agent_id = $1 AND last_ms < $3
ON CONFLICT (agent_id) DO NOTHING RETURNING agent_id;

-- name: agent_heard
DELETE FROM agent_silent WHERE agent_id = $1;

-- name: events_older
SELECT count(*), coalesce(sum(length(detail)), 0) FROM event WHERE at_ms < $1;

-- name: events_drop
DELETE FROM event WHERE number IN (
    SELECT o.number FROM (
        SELECT number, at_ms FROM event ORDER BY txn, number LIMIT $2) o
    WHERE o.at_ms < $1)
RETURNING number;

-- name: events_over
SELECT txn, number FROM event ORDER BY txn DESC, number DESC LIMIT 1 OFFSET CAST($1 AS BIGINT);

-- name: events_drop_to
DELETE FROM event WHERE number IN (
    SELECT number FROM event WHERE (txn, number) <= ($1, $2) ORDER BY txn, number LIMIT $3)
RETURNING number;
