-- The agent's queue: executions, tasks, receipts. States: shared/model/job.py.

-- name: insert_execution
INSERT INTO execution (id, spec, digest, not_after_ms, class, grace_s, state, reason)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (id) DO NOTHING
RETURNING number

-- name: insert_task
INSERT INTO task (execution, device, due_boot, due_mono_ms, due_today_ms, due_delay_ms)
VALUES ($1, $2, $3, $4, $5, $6)

-- name: count_open_tasks
SELECT count(*) FROM task WHERE state IN (0, 1)

-- name: late_tasks
-- Waiting tasks that are due although their execution may no longer begin.
SELECT task.number, task.execution, task.device, task.attempt, task.reason
FROM task JOIN execution ON execution.number = task.execution
WHERE task.state = 0 AND task.due_mono_ms <= $1 AND execution.not_after_ms < $2
ORDER BY task.number

-- name: claim
-- The first due task of each device that has none running.
UPDATE task SET state = 1, attempt = attempt + 1
WHERE number IN (
    SELECT number FROM (
        SELECT number, row_number() OVER (PARTITION BY device ORDER BY due_mono_ms, number) AS place
        FROM task
        WHERE state = 0 AND due_mono_ms <= $1
            AND device NOT IN (SELECT device FROM task WHERE state = 1)
    )
    WHERE place = 1 ORDER BY number LIMIT $2
)
RETURNING number, execution, device, attempt, crashes

-- name: next_due
-- When a device that is idle has something to do; what waits for a busy one is found at its end.
SELECT min(due_mono_ms) FROM task
WHERE state = 0 AND device NOT IN (SELECT device FROM task WHERE state = 1)

-- name: end_attempt
UPDATE task SET
    state = $3, reason = $4, due_boot = coalesce($5, due_boot),
    due_mono_ms = coalesce($6, due_mono_ms), due_today_ms = coalesce($7, due_today_ms),
    due_delay_ms = coalesce($8, due_delay_ms)
WHERE number = $1 AND attempt = $2 AND state = 1
RETURNING execution, device

-- name: give_back
UPDATE task SET state = 0, attempt = attempt - 1 WHERE state = 1

-- name: end_waiting
UPDATE task SET state = $2, reason = $3 WHERE number = $1 AND state = 0

-- name: running_tasks
SELECT number, execution, device, attempt, crashes FROM task WHERE state = 1 ORDER BY number

-- name: recover_task
UPDATE task SET state = $2, reason = $3, crashes = crashes + $4 WHERE number = $1 AND state = 1

-- name: foreign_dues
-- Waiting tasks whose due time is in the monotonic terms of another boot.
SELECT number, due_boot, due_mono_ms, due_today_ms, due_delay_ms
FROM task WHERE state = 0 AND due_boot <> $1

-- name: set_due
UPDATE task SET due_boot = $2, due_mono_ms = $3, due_today_ms = $4, due_delay_ms = $5
WHERE number = $1

-- name: tasks_of
SELECT state, attempt, reason FROM task WHERE execution = $1 ORDER BY number

-- name: execution
SELECT id, state, spec, not_after_ms, class, grace_s FROM execution WHERE number = $1

-- name: told_execution
-- An execution whose receipts are all acknowledged.
SELECT number, state, reason FROM execution
WHERE id = $1 AND receipt < (SELECT coalesce(min(number), receipt + 1) FROM outbox)

-- name: set_execution
UPDATE execution SET state = $2, reason = $3 WHERE number = $1

-- name: set_newest_receipt
UPDATE execution SET receipt = $2 WHERE number = $1

-- name: reserve_receipt
INSERT INTO outbox (body) VALUES (x'') RETURNING number

-- name: write_receipt
UPDATE outbox SET body = $2 WHERE number = $1

-- name: receipts
SELECT body FROM outbox ORDER BY number LIMIT $1

-- name: count_receipts
SELECT count(*) FROM outbox

-- name: free_receipts
DELETE FROM outbox WHERE number <= $1

-- name: oldest_receipt
-- Everything below it is acknowledged.
SELECT coalesce(min(number), (SELECT seq + 1 FROM sqlite_sequence WHERE name = 'outbox'), 1)
FROM outbox

-- name: forget_executions
-- Terminal, acknowledged, and older than the newest $2 of their kind.
DELETE FROM execution
WHERE number IN (
    SELECT number FROM execution
    WHERE state BETWEEN 10 AND 29 AND receipt < $1
    ORDER BY number DESC LIMIT -1 OFFSET $2
)

-- name: count_tasks
SELECT state, count(*) FROM task GROUP BY state

-- name: count_executions
SELECT state, count(*) FROM execution GROUP BY state
