-- What the agent remembers about devices: temporary values, kept configurations, wear.

-- name: number_of
SELECT number FROM execution WHERE id = $1

-- name: lend
-- The former value of a point that is lent already stays the oldest one.
INSERT INTO temporary (device, point, former, execution, firing,
    due_boot, due_mono_ms, due_today_ms, due_delay_ms)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT (device, point) DO UPDATE SET
    execution = excluded.execution, firing = excluded.firing, due_boot = excluded.due_boot,
    due_mono_ms = excluded.due_mono_ms, due_today_ms = excluded.due_today_ms,
    due_delay_ms = excluded.due_delay_ms, tries = 0

-- name: prolong
UPDATE temporary SET execution = $3, firing = $4, due_boot = $5, due_mono_ms = $6,
    due_today_ms = $7, due_delay_ms = $8, tries = 0
WHERE device = $1 AND point = $2

-- name: settle
DELETE FROM temporary WHERE device = $1 AND point = $2

-- name: due_loans
SELECT device, point, former, temporary.execution, execution.id, firing, tries
FROM temporary JOIN execution ON execution.number = temporary.execution
WHERE due_mono_ms <= $1 ORDER BY due_mono_ms, device, point LIMIT $2

-- name: next_loan
SELECT min(due_mono_ms) FROM temporary

-- name: is_lent
SELECT count(*) FROM temporary
WHERE device = $1 AND point = $2 AND execution = $3 AND firing = $4 AND due_mono_ms <= $5

-- name: postpone
UPDATE temporary SET due_boot = $3, due_mono_ms = $4, due_today_ms = $5, due_delay_ms = $6,
    tries = tries + $7
WHERE device = $1 AND point = $2

-- name: foreign_loans
SELECT device, point, due_boot, due_mono_ms, due_today_ms, due_delay_ms
FROM temporary WHERE due_boot <> $1

-- name: task_of
SELECT state, attempt, reason FROM task WHERE execution = $1 AND firing = $2 AND device = $3

-- name: wear_of
SELECT due_boot, due_mono_ms, due_today_ms, due_delay_ms FROM written
WHERE device = $1 AND point = $2

-- name: note_written
INSERT INTO written (device, point, due_boot, due_mono_ms, due_today_ms, due_delay_ms)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (device, point) DO UPDATE SET
    due_boot = excluded.due_boot, due_mono_ms = excluded.due_mono_ms,
    due_today_ms = excluded.due_today_ms, due_delay_ms = excluded.due_delay_ms

-- name: keep_config
-- The first one of its owner stays.
INSERT INTO config_kept (number, device, name, owner, body)
VALUES ((SELECT coalesce(max(number), 0) + 1 FROM config_kept), $1, $2, $3, $4)
ON CONFLICT (device, name) DO UPDATE SET
    number = excluded.number, owner = excluded.owner, body = excluded.body
WHERE config_kept.owner <> excluded.owner

-- name: forget_configs
DELETE FROM config_kept WHERE device = $1 AND number NOT IN (
    SELECT number FROM config_kept WHERE device = $1 ORDER BY number DESC LIMIT $2
)

-- name: config
SELECT body FROM config_kept WHERE device = $1 AND name = $2

-- name: release_had
SELECT release FROM firmware_release WHERE device = $1 AND image = $2 AND class = $3

-- name: keep_release
INSERT INTO firmware_release (number, device, image, class, release)
VALUES ((SELECT coalesce(max(number), 0) + 1 FROM firmware_release), $1, $2, $3, $4)
ON CONFLICT (device, image, class) DO UPDATE SET
    number = excluded.number, release = excluded.release

-- name: forget_releases
DELETE FROM firmware_release WHERE number NOT IN (
    SELECT number FROM firmware_release ORDER BY number DESC LIMIT $1
)

-- name: said
SELECT vendor, model, firmware FROM device_said WHERE device = $1

-- name: keep_said
INSERT INTO device_said (number, device, vendor, model, firmware)
VALUES ((SELECT coalesce(max(number), 0) + 1 FROM device_said), $1, $2, $3, $4)
ON CONFLICT (device) DO UPDATE SET
    vendor = excluded.vendor, model = excluded.model, firmware = excluded.firmware

-- name: forget_said
DELETE FROM device_said WHERE number NOT IN (
    SELECT number FROM device_said ORDER BY number DESC LIMIT $1
)
