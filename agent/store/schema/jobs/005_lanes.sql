-- Tasks are found by device: whose device is busy is not looked at, however many wait for it.
DROP INDEX task_ready;
CREATE INDEX task_lane ON task (device, priority, due_mono_ms, number)
WHERE state = 0 AND blocked = 0;

-- Executions that are not over, by when they may no longer begin.
CREATE INDEX execution_open ON execution (not_after_ms) WHERE state < 10;
