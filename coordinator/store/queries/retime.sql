-- True time of boots, and the walk that places stored blocks by it.

-- name: boot_times
SELECT b.latest_offset_ms, a.mono_ms, a.wall_ms, a.err_ms, a.is_own
FROM (SELECT 1 AS one) o
LEFT JOIN boot b ON b.agent_id = $1 AND b.boot = $2
LEFT JOIN anchor a ON a.agent_id = $1 AND a.boot = $2 LIMIT $3;

-- name: anchor_save
INSERT INTO anchor (agent_id, boot, mono_ms, wall_ms, err_ms, is_own, received_ms)
SELECT $1, $2, $3, $4, $5, $6, $7
WHERE (SELECT count(*) FROM anchor WHERE agent_id = $1 AND boot = $2) < $8
ON CONFLICT (agent_id, boot, mono_ms) DO UPDATE
SET wall_ms = excluded.wall_ms, err_ms = excluded.err_ms, is_own = excluded.is_own
WHERE (excluded.is_own, excluded.err_ms) < (anchor.is_own, anchor.err_ms)
RETURNING mono_ms;

-- name: boot_save
-- Those before it are counted up to a bound: each of a contact's blocks may be of a boot of its own.
INSERT INTO boot (agent_id, boot, ordinal, latest_offset_ms)
VALUES ($1, $2, (SELECT count(*) + 1 FROM (SELECT 1 FROM boot WHERE agent_id = $1 LIMIT $4) n), $3)
ON CONFLICT (agent_id, boot) DO UPDATE SET latest_offset_ms = excluded.latest_offset_ms;

-- name: retime_begin
INSERT INTO retime (agent_id, boot, epoch, seq, mark) VALUES ($1, $2, $3, 0, 1)
ON CONFLICT (agent_id, boot) DO UPDATE SET epoch = excluded.epoch, seq = 0, mark = retime.mark + 1;

-- name: retime_next
SELECT agent_id, boot, epoch, seq FROM retime WHERE agent_id > $1
ORDER BY agent_id, boot LIMIT 1;

-- name: retime_move
UPDATE retime SET epoch = $3, seq = $4 WHERE agent_id = $1 AND boot = $2;

-- name: retime_end
DELETE FROM retime WHERE agent_id = $1 AND boot = $2;

-- name: blocks_of_boot
SELECT epoch, seq, mono_ms, wall_ms, clock_state, clock_err_ms, received_ms,
    shift_ms, sureness, err_ms
FROM block WHERE agent_id = $1 AND boot = $2 AND (epoch, seq) > ($3, $4)
ORDER BY epoch, seq LIMIT $5;

-- name: block_place
UPDATE block SET first_ms = first_ms - shift_ms + $4, last_ms = last_ms - shift_ms + $4,
    shift_ms = $4, sureness = $5, err_ms = $6
WHERE agent_id = $1 AND epoch = $2 AND seq = $3;
