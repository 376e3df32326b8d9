-- Standing jobs: their firings, what rules remember, and how firings ended.

-- name: begin_standing
INSERT INTO standing (execution, last_ms) VALUES ($1, $2)

-- name: count_standing
-- All but those that a job with this conflict key takes the place of.
SELECT count(*) FROM standing JOIN execution ON execution.number = standing.execution
WHERE conflict_key = '' OR conflict_key <> $1

-- name: in_force
SELECT count(*) FROM standing WHERE execution = $1

-- name: all_standing
SELECT standing.execution, execution.id, execution.spec, execution.digest,
    execution.not_after_ms, last_ms, due_boot, due_mono_ms, due_today_ms, due_delay_ms, runs, trace
FROM standing JOIN execution ON execution.number = standing.execution
ORDER BY standing.execution

-- name: look_again
UPDATE standing SET last_ms = $2, due_boot = $3, due_mono_ms = $4, due_today_ms = $5,
    due_delay_ms = $6
WHERE execution = $1

-- name: note_runs
UPDATE standing SET runs = $2 WHERE execution = $1

-- name: end_standing
DELETE FROM standing WHERE execution = $1

-- name: next_firing
UPDATE standing SET firings = firings + 1 WHERE execution = $1 RETURNING firings

-- name: cancel_firings
-- All but the one that is about to begin, which has its number already.
UPDATE standing SET cancel_to = firings - 1 WHERE execution = $1

-- name: tasks_of_firings
-- Of all standing jobs, also those that ended since. A firing that is over has none left, so what
-- is counted is what there is: one seek to each job that ever fired, then its part of an index.
WITH RECURSIVE job (number) AS (
    SELECT min(execution) FROM fired
    UNION ALL
    SELECT (SELECT min(execution) FROM fired WHERE execution > job.number)
    FROM job WHERE job.number IS NOT NULL
)
SELECT count(*) FROM job JOIN task ON task.execution = job.number AND task.firing > 0

-- name: open_firings
-- Firings with tasks that wait or are at work.
SELECT count(DISTINCT firing) FROM task
WHERE execution = $1 AND firing > 0 AND state IN (0, 1)

-- name: waiting_firings
SELECT count(DISTINCT firing) FROM task AS one
WHERE execution = $1 AND firing > 0 AND state = 0 AND NOT EXISTS (
    SELECT 1 FROM task AS other WHERE other.execution = one.execution
    AND other.firing = one.firing AND other.state <> 0
)

-- name: note_fired
INSERT INTO fired (execution, nominal_ms, number) VALUES ($1, $2, $3)
ON CONFLICT DO NOTHING

-- name: forget_fired
DELETE FROM fired WHERE execution = $1 AND number <= $2

-- name: nominal_of
SELECT nominal_ms FROM fired WHERE execution = $1 AND number = $2

-- name: tolerated
SELECT tolerate_ppm FROM execution WHERE number = $1

-- name: drop_firing
DELETE FROM task WHERE execution = $1 AND firing = $2

-- name: rule_memories
SELECT device, memory FROM rule_memory WHERE execution = $1

-- name: remember
INSERT INTO rule_memory (execution, device, memory) VALUES ($1, $2, $3)
ON CONFLICT (execution, device) DO UPDATE SET memory = excluded.memory

-- name: newest_tale
SELECT number, state, reason, detail, result FROM tale
WHERE execution = $1 AND device = $2 ORDER BY number DESC LIMIT 1

-- name: extend_tale
UPDATE tale SET last_ms = max(last_ms, $2), first_ms = min(first_ms, $3), count = count + $4,
    wall_ms = $5, result = $6
WHERE number = $1

-- name: tell_tale
INSERT INTO tale (execution, device, state, reason, first_ms, last_ms, count, wall_ms, detail,
    result)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)

-- name: count_tales
SELECT count(*) FROM tale

-- name: tales
SELECT tale.number, tale.execution, execution.id, device, tale.state, tale.reason, first_ms,
    last_ms, count, wall_ms, detail, result
FROM tale JOIN execution ON execution.number = tale.execution
ORDER BY tale.number DESC LIMIT $1

-- name: told_tale
DELETE FROM tale WHERE number = $1

-- name: most_talkative
SELECT execution, device FROM tale GROUP BY execution, device ORDER BY count(*) DESC LIMIT 1

-- name: tales_of
SELECT number, state, reason, first_ms, last_ms, count FROM tale
WHERE execution = $1 AND device = $2 ORDER BY number LIMIT $3

-- name: merge_tale
UPDATE tale SET state = $2, reason = $3, first_ms = $4, count = $5,
    detail = CASE WHEN $6 THEN detail ELSE 'several outcomes, told as one' END
WHERE number = $1
