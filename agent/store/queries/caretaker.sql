-- What the agent keeps of itself, and what it may forget.

-- name: restart_asked
SELECT process FROM restart WHERE mark = $1

-- name: ask_restart
INSERT INTO restart (mark, process) VALUES ($1, $2) ON CONFLICT (mark) DO NOTHING

-- name: forget_restarts
DELETE FROM restart WHERE number NOT IN (SELECT number FROM restart ORDER BY number DESC LIMIT $1)

-- name: over
-- Executions that are over and acknowledged, the newest first: all that may ever be forgotten.
SELECT number, length(spec), not_after_ms FROM execution
WHERE state BETWEEN 10 AND 29 AND receipt < $1
    AND NOT EXISTS (SELECT 1 FROM tale WHERE tale.execution = execution.number)
    AND NOT EXISTS (SELECT 1 FROM temporary WHERE temporary.execution = execution.number)
ORDER BY number DESC

-- name: forget
DELETE FROM execution WHERE number = $1
