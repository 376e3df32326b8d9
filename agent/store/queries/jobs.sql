-- The agent's queue: executions, tasks, receipts. States: shared/model/job.py.

-- name: insert_execution
INSERT INTO execution (id, spec, digest, not_after_ms, class, grace_s, state, reason)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (id) DO NOTHING
RETURNING number

-- name: try_jobs
SAVEPOINT jobs

-- name: undo_jobs
ROLLBACK TO jobs

-- name: take_jobs
RELEASE jobs

-- name: describe_execution
UPDATE execution SET job = $2, conflict_key = $3, priority = $4, tolerate_ppm = $5,
    max_parallel = $6, canary = $7, after_job = $8, after_state = $9, trace = $10
WHERE number = $1

-- name: insert_task
INSERT INTO task (execution, device, firing, priority, blocked,
    due_boot, due_mono_ms, due_today_ms, due_delay_ms)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)

-- name: count_open_tasks
SELECT count(*) FROM task WHERE state IN (0, 1)

-- name: late_tasks
-- Waiting tasks that are due although their execution may no longer begin.
SELECT task.number, task.execution, task.device, task.attempt, task.reason, task.firing,
    task.course, execution.not_after_ms
FROM execution INDEXED BY execution_open
JOIN task ON task.execution = execution.number
WHERE execution.state < 10 AND execution.not_after_ms < $2
    AND task.state = 0 AND task.due_mono_ms <= $1 AND task.verifying = 0
ORDER BY task.number

-- name: heads
-- For each device with work that waits and none that runs: its first due task, or when one is due.
-- One seek to each device, one for whether it is busy, one in each priority.
WITH RECURSIVE lane (device) AS (
    SELECT min(device) FROM task INDEXED BY task_lane WHERE state = 0 AND blocked = 0
    UNION ALL
    SELECT (SELECT min(device) FROM task INDEXED BY task_lane
        WHERE state = 0 AND blocked = 0 AND device > lane.device)
    FROM lane WHERE lane.device IS NOT NULL
), idle (device) AS (
    SELECT device FROM lane WHERE device IS NOT NULL AND NOT EXISTS (
        SELECT 1 FROM task INDEXED BY task_running
        WHERE task.state = 1 AND task.device = lane.device)
), head (device, first) AS MATERIALIZED (
    SELECT device, coalesce(
        (SELECT number FROM task INDEXED BY task_lane WHERE state = 0 AND blocked = 0
            AND device = idle.device AND priority = 0 AND due_mono_ms <= $1
            ORDER BY due_mono_ms, number LIMIT 1),
        (SELECT number FROM task INDEXED BY task_lane WHERE state = 0 AND blocked = 0
            AND device = idle.device AND priority = 1 AND due_mono_ms <= $1
            ORDER BY due_mono_ms, number LIMIT 1),
        (SELECT number FROM task INDEXED BY task_lane WHERE state = 0 AND blocked = 0
            AND device = idle.device AND priority = 2 AND due_mono_ms <= $1
            ORDER BY due_mono_ms, number LIMIT 1),
        (SELECT number FROM task INDEXED BY task_lane WHERE state = 0 AND blocked = 0
            AND device = idle.device AND priority = 3 AND due_mono_ms <= $1
            ORDER BY due_mono_ms, number LIMIT 1)
    ) FROM idle
)
SELECT task.priority, task.due_mono_ms, head.first, CASE WHEN head.first IS NULL THEN (
    SELECT min(due) FROM (
        SELECT (SELECT min(due_mono_ms) FROM task INDEXED BY task_lane WHERE state = 0
            AND blocked = 0 AND device = head.device AND priority = 0) AS due
        UNION ALL SELECT (SELECT min(due_mono_ms) FROM task INDEXED BY task_lane WHERE state = 0
            AND blocked = 0 AND device = head.device AND priority = 1)
        UNION ALL SELECT (SELECT min(due_mono_ms) FROM task INDEXED BY task_lane WHERE state = 0
            AND blocked = 0 AND device = head.device AND priority = 2)
        UNION ALL SELECT (SELECT min(due_mono_ms) FROM task INDEXED BY task_lane WHERE state = 0
            AND blocked = 0 AND device = head.device AND priority = 3)
    )
) END
FROM head LEFT JOIN task ON task.number = head.first

-- name: claim
UPDATE task SET state = 1, attempt = attempt + 1, reason = 0 WHERE number = $1
RETURNING execution, device, attempt, crashes, firing, course

-- name: ordered
SELECT spec, digest, not_after_ms, class, grace_s, trace,
    id, state, tolerate_ppm, canceled, max_parallel > 0 OR canary > 0 OR tolerate_ppm > 0
FROM execution WHERE number = $1

-- name: end_attempt
-- $9: the attempt was no try, for it was held before its first step.
UPDATE task SET
    state = $3, reason = $4, due_boot = coalesce($5, due_boot),
    due_mono_ms = coalesce($6, due_mono_ms), due_today_ms = coalesce($7, due_today_ms),
    due_delay_ms = coalesce($8, due_delay_ms), attempt = attempt - $9, verifying = $10,
    course = coalesce($11, course)
WHERE number = $1 AND attempt = $2 AND state = 1
RETURNING execution, device, firing

-- name: note_course
UPDATE task SET course = $3 WHERE number = $1 AND attempt = $2 AND state = 1

-- name: release_held
UPDATE task SET due_boot = $2, due_mono_ms = $3 WHERE state = 0 AND reason = $1

-- name: hold_back
-- Due in the terms of no boot: until it is known what time it is, or it is over for certain.
UPDATE task SET due_boot = x'', due_mono_ms = $2 WHERE number = $1

-- name: settle_held_back
-- What is held back, and may begin by every clock, or is over for certain.
UPDATE task SET due_boot = $1, due_mono_ms = $2
WHERE state = 0 AND due_boot = x'' AND execution IN (
    SELECT number FROM execution WHERE not_after_ms >= $3 OR not_after_ms < $4
)

-- name: is_held_back
SELECT EXISTS (SELECT 1 FROM task WHERE state = 0 AND due_boot = x'')

-- name: end_waiting
UPDATE task SET state = $2, reason = $3 WHERE number = $1 AND state = 0

-- name: running_tasks
SELECT task.number, task.execution, device, attempt, crashes, firing, course,
    canceled = 1 OR (firing > 0 AND firing <= coalesce(cancel_to, 0))
FROM task JOIN execution ON execution.number = task.execution
LEFT JOIN standing ON standing.execution = task.execution
WHERE task.state = 1 ORDER BY task.number

-- name: called_off
-- Whether an execution, or one firing of it, was called off.
SELECT canceled = 1 OR ($2 > 0 AND $2 <= coalesce(cancel_to, 0))
FROM execution LEFT JOIN standing ON standing.execution = execution.number
WHERE execution.number = $1

-- name: recover_task
-- $5: where it goes on, if that is not where it was cut off.
UPDATE task SET state = $2, reason = $3, crashes = crashes + $4,
    verifying = CASE WHEN $5 IS NULL THEN verifying ELSE 0 END, course = coalesce($5, course)
WHERE number = $1 AND state = 1

-- name: foreign_dues
-- Waiting tasks whose due time is in the monotonic terms of another boot.
SELECT number, due_boot, due_mono_ms, due_today_ms, due_delay_ms
FROM task WHERE state = 0 AND due_boot <> $1

-- name: set_due
UPDATE task SET due_boot = $2, due_mono_ms = $3, due_today_ms = $4, due_delay_ms = $5
WHERE number = $1

-- name: tasks_of
SELECT state, attempt, reason, verifying FROM task
WHERE execution = $1 AND firing = $2 ORDER BY number

-- name: execution
SELECT id, state, tolerate_ppm, canceled, max_parallel > 0 OR canary > 0 OR tolerate_ppm > 0
FROM execution WHERE number = $1

-- name: spec_of
SELECT spec, digest FROM execution WHERE number = $1

-- name: find_execution
SELECT number, state FROM execution WHERE id = $1

-- name: turn_course
-- A task that waits goes on another way, at once.
UPDATE task SET course = $2, verifying = 0, blocked = 0, due_boot = $3, due_mono_ms = $4
WHERE number = $1 AND state = 0

-- name: waiting_tasks
SELECT number, device, attempt, firing, course FROM task
WHERE execution = $1 AND state = 0 ORDER BY number

-- name: blocked_tasks
-- Of one firing: others have first ones of their own.
SELECT number, device, attempt, firing, course FROM task
WHERE execution = $1 AND firing = $2 AND state = 0 AND blocked = 1 ORDER BY number

-- name: dependency
SELECT after_job, after_state, id, max_parallel, canary FROM execution WHERE number = $1

-- name: count_running_of
SELECT count(*) FROM task WHERE execution = $1 AND state = 1

-- name: canceled_at_work
SELECT DISTINCT execution.id, task.firing FROM task
JOIN execution ON execution.number = task.execution
LEFT JOIN standing ON standing.execution = task.execution
WHERE task.state = 1 AND (execution.canceled = 1
    OR (task.firing > 0 AND task.firing <= coalesce(standing.cancel_to, 0)))

-- name: mark_canceled
UPDATE execution SET canceled = 1 WHERE number = $1

-- name: rivals
-- Executions that wait under the same key, begun or not.
SELECT number, id FROM execution
WHERE conflict_key = $1 AND number <> $2 AND state IN (1, 2)

-- name: turns
-- What decides whose turn it is within one firing of an execution. $3: left out, and counted nowhere.
SELECT max_parallel, canary, tolerate_ppm,
    (SELECT count(*) FROM task WHERE execution = $1 AND firing = $2
        AND reason <> $3) AS all_tasks,
    (SELECT count(*) FROM task WHERE execution = $1 AND firing = $2 AND state = 2) AS done,
    (SELECT count(*) FROM task WHERE execution = $1 AND firing = $2 AND state IN (3, 5)) AS failed,
    (SELECT count(*) FROM task WHERE execution = $1 AND firing = $2
        AND state IN (0, 1) AND blocked = 0) AS open_tasks
FROM execution WHERE number = $1

-- name: unblock
UPDATE task SET blocked = 0
WHERE number IN (
    SELECT number FROM task WHERE execution = $1 AND firing = $2 AND state = 0 AND blocked = 1
    ORDER BY number LIMIT $3
)

-- name: outcome_of_job
-- How the newest execution of a job stands on this agent.
SELECT state FROM execution WHERE job = $1 ORDER BY number DESC LIMIT 1

-- name: dependents
SELECT number FROM execution WHERE after_job = $1 AND state IN (1, 2) ORDER BY number

-- name: dependents_end
-- When the first that still waits for another job may wait no longer.
SELECT min(not_after_ms) FROM execution
WHERE after_job IS NOT NULL AND state IN (1, 2) AND not_after_ms >= $1

-- name: release_dependents
UPDATE execution SET after_job = NULL WHERE number = $1

-- name: told_execution
-- An execution whose receipts are all acknowledged.
SELECT number, state, reason FROM execution
WHERE id = $1 AND receipt < (
    SELECT coalesce(min(outbox.number), receipt + 1) FROM outbox, contact
    WHERE outbox.number > freed_to
)

-- name: set_execution
UPDATE execution SET state = $2, reason = $3, receipt = $4 WHERE number = $1 RETURNING job

-- name: set_newest_receipt
UPDATE execution SET receipt = $2 WHERE number = $1 AND receipt < $2

-- name: newest_receipt
-- A number is never used twice, also not once its receipt is acknowledged.
SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'outbox'), 0)

-- name: write_receipt
INSERT INTO outbox (number, body) VALUES ($1, $2)

-- name: receipts_after
SELECT number, body FROM outbox
WHERE number > max($1, (SELECT freed_to FROM contact)) ORDER BY number LIMIT $2

-- name: void_receipt
UPDATE outbox SET body = $2 WHERE number = $1

-- name: told_since
SELECT number, id, state, reason FROM execution WHERE receipt >= $1 ORDER BY number

-- name: count_receipts
SELECT count(*) FROM outbox WHERE number > (SELECT freed_to FROM contact)

-- name: free_receipts
-- What is acknowledged stays for a coordinator that comes back from a copy.
UPDATE contact SET freed_to = $1 WHERE freed_to < $1

-- name: let_go_receipts
DELETE FROM outbox WHERE number <= (SELECT freed_to FROM contact) - $1

-- name: tell_receipts_again
-- The last that both have, too: it says whether they have the same one under that number.
UPDATE contact SET freed_to = min(
    freed_to, max(min($1, (SELECT coalesce(max(number), 0) FROM outbox)) - 1, 0)
)

-- name: ended_untold
-- What ended, and was told by a receipt that a coordinator lacks and nobody has any more.
SELECT number, id, state, reason FROM execution
WHERE state BETWEEN 10 AND 29 AND receipt > $1
    AND receipt < (SELECT coalesce(min(number), receipt + 1) FROM outbox)
ORDER BY number

-- name: oldest_receipt
-- Everything below it is acknowledged.
SELECT coalesce(min(number), (SELECT seq + 1 FROM sqlite_sequence WHERE name = 'outbox'), 1)
FROM outbox WHERE number > (SELECT freed_to FROM contact)

-- name: forget_executions
-- Terminal, acknowledged, and older than the newest $2 of their kind.
DELETE FROM execution
WHERE number IN (
    SELECT number FROM execution
    WHERE state BETWEEN 10 AND 29 AND receipt < $1
        AND NOT EXISTS (SELECT 1 FROM tale WHERE tale.execution = execution.number)
        AND NOT EXISTS (SELECT 1 FROM temporary WHERE temporary.execution = execution.number)
    ORDER BY number DESC LIMIT -1 OFFSET $2
)

-- name: count_tasks
SELECT state, count(*) FROM task GROUP BY state

-- name: count_executions
SELECT state, count(*) FROM execution GROUP BY state

-- name: words_of_tasks
SELECT DISTINCT state, reason FROM task

-- name: words_of_executions
SELECT DISTINCT state, reason FROM execution

-- name: words_of_tales
SELECT DISTINCT state, reason FROM tale

-- name: words_of_refusals
SELECT reason FROM refusal
