-- Rollups: what has to be computed again, and the buckets.

-- name: rollup_due_insert
INSERT INTO rollup_due (agent_id, epoch, seq, shift_ms, since_ms, waits)
VALUES ($1, $2, $3, $4, $5, 0);

-- name: rollup_due_wake
UPDATE rollup_due SET waits = 0 WHERE agent_id = $1 AND waits = 1;

-- name: rollup_due_oldest
SELECT since_ms FROM rollup_due WHERE waits = 0 ORDER BY number LIMIT 1;

-- name: rollup_due_ready
SELECT count(*) FROM (
    SELECT 1 FROM rollup_due WHERE agent_id = $1 AND waits = 0 LIMIT $2
) n;

-- name: rollup_due_agents
-- From one agent to the next, however many orders each has.
WITH RECURSIVE walk(agent_id) AS (
    SELECT min(agent_id) FROM rollup_due WHERE agent_id > $1
    UNION ALL
    SELECT (SELECT min(d.agent_id) FROM rollup_due d WHERE d.agent_id > w.agent_id)
    FROM walk w WHERE w.agent_id IS NOT NULL
)
SELECT w.agent_id FROM walk w
WHERE w.agent_id IS NOT NULL
    AND EXISTS (SELECT 1 FROM rollup_due d WHERE d.agent_id = w.agent_id AND d.waits = 0)
LIMIT $2;

-- name: rollup_due_of_agent
SELECT d.number, d.epoch, d.seq, d.shift_ms, s.data IS NOT NULL, b.schema_ref, b.data,
    (SELECT max(number) FROM channel WHERE agent_id = $1)
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

-- name: rollup_agent
SELECT (SELECT before_ms FROM raw_gone WHERE agent_id = $1),
    EXISTS (SELECT 1 FROM block WHERE agent_id = $1 AND is_long = 1),
    c.number, c.device, c.point, c.unit, c.kind
FROM (SELECT 1 AS one) o LEFT JOIN channel c ON c.agent_id = $1;

-- name: blocks_in
SELECT epoch, seq, first_ms, shift_ms, sureness, err_ms, schema_ref, data FROM block
WHERE agent_id = $1 AND is_long = $2 AND first_ms >= $3 AND first_ms < $4 AND last_ms >= $5
    AND (first_ms, epoch, seq) > ($6, $7, $8)
ORDER BY first_ms, epoch, seq LIMIT $9;

-- name: channels_of_agent
SELECT number, device, point, unit, kind FROM channel WHERE agent_id = $1;

-- name: channel_last
SELECT max(number) FROM channel WHERE agent_id = $1;

-- name: channel_insert
INSERT INTO channel (agent_id, number, device, point, unit, kind) VALUES ($1, $2, $3, $4, $5, $6);

-- name: rollup_of_hour
-- Channels without a row are left out: an agent may have had more of them than anybody's memory.
SELECT c.number, m.data, h.data
FROM channel c
LEFT JOIN rollup m ON m.agent_id = c.agent_id AND m.channel = c.number
    AND m.width_s = 60 AND m.start_ms = $2
LEFT JOIN rollup h ON h.agent_id = c.agent_id AND h.channel = c.number
    AND h.width_s = 3600 AND h.start_ms = $3
WHERE c.agent_id = $1 AND c.number >= $4 AND c.number <= $5
    AND (m.data IS NOT NULL OR h.data IS NOT NULL);

-- name: rollup_save
INSERT INTO rollup (agent_id, channel, width_s, start_ms, data) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (agent_id, channel, width_s, start_ms) DO UPDATE SET data = excluded.data;

-- name: rollup_delete
DELETE FROM rollup WHERE agent_id = $1 AND channel = $2 AND width_s = $3 AND start_ms = $4;

-- name: rollup_rows
SELECT start_ms, data FROM rollup
WHERE agent_id = $1 AND channel = $2 AND width_s = $3 AND start_ms >= $4 AND start_ms < $5
ORDER BY start_ms LIMIT $6;
