-- Rollups: what has to be computed again, and the buckets.

-- name: rollup_due_insert
INSERT INTO rollup_due (agent_id, epoch, seq, shift_ms, since_ms, waits)
VALUES ($1, $2, $3, $4, $5, 0);

-- name: rollup_due_wake
UPDATE rollup_due SET waits = 0 WHERE agent_id = $1 AND waits = 1;

-- name: rollup_due_oldest
SELECT agent_id, since_ms FROM rollup_due WHERE waits = 0 ORDER BY number LIMIT 1;

-- name: rollup_due_of_agent
SELECT d.number, d.shift_ms, b.schema_ref, s.data IS NOT NULL, b.first_ms - b.shift_ms,
    b.last_ms - b.shift_ms, b.data
FROM rollup_due d
LEFT JOIN block b ON b.agent_id = d.agent_id AND b.epoch = d.epoch AND b.seq = d.seq
LEFT JOIN schema s ON s.agent_id = b.agent_id AND s.schema_ref = b.schema_ref
WHERE d.agent_id = $1 AND d.waits = 0 ORDER BY d.number LIMIT $2;

-- name: rollup_due_wait
UPDATE rollup_due SET waits = 1 WHERE number = $1;

-- name: rollup_due_done
DELETE FROM rollup_due WHERE number = $1;

-- name: rollup_due_count
SELECT count(*), min(since_ms) FROM rollup_due WHERE waits = 0;
