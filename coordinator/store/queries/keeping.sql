-- Retention and quotas.

-- name: keeping
SELECT name, value FROM keeping;

-- name: keeping_quota
SELECT value FROM keeping WHERE name = 'quota';

-- name: keeping_save
INSERT INTO keeping (name, value) VALUES ($1, $2)
ON CONFLICT (name) DO UPDATE SET value = excluded.value;

-- name: block_totals
SELECT priority, sum(blocks), sum(bytes) FROM block_total GROUP BY priority ORDER BY priority;

-- name: blocks_older
SELECT count(*), coalesce(sum(length(data)), 0), coalesce(sum(count), 0), min(last_ms)
FROM block WHERE priority = $1 AND last_ms < $2;

-- name: blocks_drop
DELETE FROM block WHERE (agent_id, epoch, seq) IN (
    SELECT b.agent_id, b.epoch, b.seq FROM block b
    WHERE b.priority = $1 AND b.last_ms < $2 AND NOT EXISTS (
        SELECT 1 FROM rollup_due d
        WHERE d.agent_id = b.agent_id AND d.epoch = b.epoch AND d.seq = b.seq AND d.waits = 0)
    ORDER BY b.last_ms LIMIT $3)
RETURNING agent_id, last_ms, length(data);

-- name: raw_gone_save
INSERT INTO raw_gone (agent_id, before_ms) VALUES ($1, $2)
ON CONFLICT (agent_id) DO UPDATE SET before_ms = excluded.before_ms
WHERE excluded.before_ms > raw_gone.before_ms;

-- name: rollups_older
SELECT count(*), coalesce(sum(length(data)), 0) FROM rollup WHERE width_s = $1 AND start_ms < $2;

-- name: rollups_drop
DELETE FROM rollup WHERE (agent_id, channel, width_s, start_ms) IN (
    SELECT agent_id, channel, width_s, start_ms FROM rollup
    WHERE width_s = $1 AND start_ms < $2 ORDER BY start_ms LIMIT $3)
RETURNING channel;

-- name: asides_older
SELECT count(*), coalesce(sum(length(data)), 0) FROM block_aside WHERE received_ms < $1;

-- name: asides_drop
DELETE FROM block_aside WHERE (agent_id, epoch, seq, digest) IN (
    SELECT agent_id, epoch, seq, digest FROM block_aside WHERE received_ms < $1 LIMIT $2)
RETURNING seq;

-- name: intake_day
SELECT day, bytes FROM intake_day WHERE agent_id = $1;

-- name: intake_day_save
INSERT INTO intake_day (agent_id, day, bytes) VALUES ($1, $2, $3)
ON CONFLICT (agent_id) DO UPDATE SET day = excluded.day, bytes = excluded.bytes;
