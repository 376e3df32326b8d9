-- Where the exchange with the coordinator stands: one row, and refusals by code.

-- name: begin
INSERT INTO contact (one, jobs_epoch, counter, bundle_seq, floor_ms) VALUES (1, $1, $2, $3, $4)
ON CONFLICT (one) DO NOTHING

-- name: state
SELECT
    jobs_epoch, counter, previous, pending, bundle_seq, floor_ms, answered_ms,
    bytes_up, bytes_down
FROM contact

-- name: freeze
UPDATE contact SET counter = $1, previous = $2, pending = $3 WHERE counter = $1 - 1

-- name: admit
UPDATE contact SET bundle_seq = $1, floor_ms = max(floor_ms, $2)
WHERE bundle_seq < $1

-- name: answered
UPDATE contact SET
    pending = CASE WHEN counter = $1 THEN NULL ELSE pending END,
    floor_ms = max(floor_ms, $2), answered_ms = $2, bytes_up = bytes_up + $3,
    bytes_down = bytes_down + $4

-- name: count_bytes
UPDATE contact SET bytes_up = bytes_up + $1, bytes_down = bytes_down + $2

-- name: count_refusal
INSERT INTO refusal (reason, count) VALUES ($1, 1)
ON CONFLICT (reason) DO UPDATE SET count = count + 1

-- name: refusals
SELECT reason, count FROM refusal ORDER BY reason
