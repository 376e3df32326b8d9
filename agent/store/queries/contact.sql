-- Where the exchange with the coordinator stands: one row, and refusals by code.

-- name: begin
INSERT INTO contact (one, jobs_epoch, counter, counters, approved_since_ms)
VALUES (1, $1, $2, $3, $4)
ON CONFLICT (one) DO NOTHING

-- name: state
SELECT
    jobs_epoch, counter, previous, pending, echo, counters, answered_ms, bytes_up, bytes_down,
    spent, heard_epoch
FROM contact

-- name: counters
SELECT counters FROM contact

-- name: save_counters
UPDATE contact SET counters = $1

-- name: trust
SELECT root, catalog, policy FROM trust

-- name: save_trust
INSERT INTO trust (one, root, catalog, policy) VALUES (1, $1, $2, $3)
ON CONFLICT (one) DO UPDATE SET
    root = excluded.root, catalog = excluded.catalog, policy = excluded.policy

-- name: time_kept
SELECT floor_ms, silent_ms, boot_id, mono_ms FROM time_kept

-- name: save_time
INSERT INTO time_kept (one, floor_ms, silent_ms, boot_id, mono_ms) VALUES (1, $1, $2, $3, $4)
ON CONFLICT (one) DO UPDATE SET
    floor_ms = excluded.floor_ms, silent_ms = excluded.silent_ms, boot_id = excluded.boot_id,
    mono_ms = excluded.mono_ms

-- name: approved
SELECT job, execution FROM approved

-- name: approved_since
SELECT approved_since_ms FROM contact

-- name: save_approved_since
UPDATE contact SET approved_since_ms = $1

-- name: forgot_approved
UPDATE contact SET approved_since_ms = max(approved_since_ms, $1)

-- name: approve
INSERT INTO approved (job, execution, until_ms) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING

-- name: forget_approved
DELETE FROM approved WHERE until_ms < $1

-- name: freeze
UPDATE contact SET counter = $1, previous = $2, pending = $3 WHERE counter = $1 - 1

-- name: give_up
UPDATE contact SET pending = NULL WHERE previous = $1

-- name: reach_counter
-- Reports are numbered above everything the coordinator ever saw.
UPDATE contact SET counter = $1 WHERE counter < $1

-- name: answered
UPDATE contact SET
    pending = CASE WHEN previous = $1 THEN NULL ELSE pending END,
    answered_ms = $2, bytes_up = bytes_up + $3, bytes_down = bytes_down + $4, echo = $5,
    spent = $6

-- name: hear_epoch
UPDATE contact SET heard_epoch = max(heard_epoch, $1)

-- name: count_bytes
UPDATE contact SET bytes_up = bytes_up + $1, bytes_down = bytes_down + $2, spent = $3

-- name: count_refusal
INSERT INTO refusal (reason, count) VALUES ($1, 1)
ON CONFLICT (reason) DO UPDATE SET count = count + 1

-- name: refusals
SELECT reason, count FROM refusal ORDER BY reason
