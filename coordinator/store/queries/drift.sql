-- Devices beside what is wished of them.

-- name: wish
SELECT desired, misses, since_ms, at_ms, noted_ms, mended_ms, mended_by FROM device_wish
WHERE agent_id = $1 AND device = $2 AND wish = $3;

-- name: wish_count
SELECT count(*) FROM device_wish WHERE agent_id = $1;

-- name: wish_save
INSERT INTO device_wish (agent_id, device, wish, desired, by_job, misses, reported, since_ms, at_ms,
    noted_ms, received_ms, mended_ms, mended_by)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
ON CONFLICT (agent_id, device, wish) DO UPDATE
SET desired = excluded.desired, by_job = excluded.by_job, misses = excluded.misses,
    reported = excluded.reported, since_ms = excluded.since_ms, at_ms = excluded.at_ms,
    noted_ms = excluded.noted_ms, received_ms = excluded.received_ms,
    mended_ms = excluded.mended_ms, mended_by = excluded.mended_by;

-- name: wishes_after
SELECT agent_id, device, wish, desired, by_job, misses, reported, since_ms, at_ms, mended_ms,
    mended_by
FROM device_wish
WHERE (agent_id, device, wish) > ($1, $2, $3) AND misses >= $4
ORDER BY agent_id, device, wish LIMIT $5;

-- name: wishes_of_agents
SELECT agent_id, wish, desired, count(*), count(since_ms), min(since_ms), min(at_ms)
FROM device_wish WHERE agent_id BETWEEN $1 AND $2
GROUP BY agent_id, wish, desired ORDER BY agent_id, wish, desired;

-- name: missing_of_agents
-- The first few of each agent and wish: a flood of one hides no other.
SELECT agent_id, device, wish, desired FROM (
    SELECT agent_id, device, wish, desired,
        row_number() OVER (PARTITION BY agent_id, wish, desired ORDER BY device) AS place
    FROM device_wish WHERE agent_id BETWEEN $1 AND $2 AND misses > 0
) AS missing
WHERE place <= $3 ORDER BY agent_id, device, wish;

-- name: jobs_that_wrote
-- What was done on a device since a time; the newest first.
SELECT e.job_id, j.spec FROM execution e
    JOIN task t ON t.agent_id = e.agent_id AND t.execution_id = e.execution_id
    JOIN job j ON j.job_id = e.job_id
WHERE e.agent_id = $1 AND t.device = $2 AND t.state = $3 AND e.updated_ms >= $4
ORDER BY e.updated_ms DESC, e.execution_id DESC LIMIT $5;

-- name: job_spec
SELECT name, spec FROM job WHERE job_id = $1;

-- name: wishes_older
SELECT count(*), 0, 0 FROM device_wish WHERE received_ms < $1;

-- name: wishes_drop
DELETE FROM device_wish WHERE (agent_id, device, wish) IN (
    SELECT agent_id, device, wish FROM device_wish WHERE received_ms < $1
    ORDER BY received_ms LIMIT $2
) RETURNING agent_id;

-- name: images_run
-- Devices of an agent that run what an update wished, and that update's job.
SELECT w.device, j.spec FROM device_wish w JOIN job j ON j.job_id = w.by_job
WHERE w.agent_id = $1 AND w.wish = $2 AND w.misses = 0 ORDER BY w.device LIMIT $3;
