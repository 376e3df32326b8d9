-- name: fleet_insert
INSERT INTO fleet (one, fleet_id, url, page_key, created_ms) VALUES (1, $1, $2, $3, $4);

-- name: fleet
SELECT fleet_id, url, page_key, restore_epoch FROM fleet;

-- name: document_insert
INSERT INTO document (kind, epoch, version, envelope, saved_ms) VALUES ($1, $2, $3, $4, $5);

-- name: documents
SELECT envelope FROM document WHERE kind = $1 ORDER BY epoch, version;

-- name: document_newest
SELECT envelope FROM document WHERE kind = $1 ORDER BY epoch DESC, version DESC LIMIT 1;

-- name: fleet_alive
SELECT one FROM fleet;

-- The status screen.

-- name: agents_by_state
SELECT CASE
    WHEN a.revoked_ms IS NOT NULL THEN 'REVOKED'
    WHEN a.left_ms IS NOT NULL THEN 'DECOMMISSIONED'
    WHEN a.leave_ms IS NOT NULL THEN 'LEAVING'
    WHEN a.quarantined_ms IS NOT NULL THEN 'QUARANTINED'
    WHEN c.agent_id IS NULL THEN 'ENROLLED'
    WHEN $1 - c.last_ms > $2 AND $1 - c.last_ms > $3 * coalesce(c.interval_ms, 0) THEN 'SILENT'
    ELSE 'ONLINE'
END AS state, count(*)
FROM agent a LEFT JOIN contact c ON c.agent_id = a.agent_id
GROUP BY state;

-- name: executions_by_state
SELECT state, count(*) FROM execution GROUP BY state ORDER BY state;

-- name: jobs_open
SELECT count(DISTINCT job_id) FROM execution WHERE state < $1;

-- name: jobs_canceling
SELECT count(DISTINCT e.job_id) FROM job j JOIN execution e ON e.job_id = j.job_id
WHERE j.cancel_ms IS NOT NULL AND e.state < $1;

-- name: jobs_canceled
SELECT count(*) FROM job WHERE cancel_ms IS NOT NULL;

-- name: jobs_waiting
-- For the end of another job.
SELECT CASE WHEN expired_ms IS NULL THEN 'SCHEDULED' ELSE 'EXPIRED' END AS state, count(*)
FROM job WHERE waits_for IS NOT NULL AND begun_ms IS NULL AND released_ms IS NOT NULL
    AND cancel_ms IS NULL
GROUP BY 1;

-- name: jobs_all
SELECT count(*) FROM job;

-- name: readings_total
SELECT coalesce(sum(readings), 0), coalesce(sum(blocks), 0), coalesce(sum(bytes), 0),
    coalesce(sum(lost), 0), (SELECT count(*) FROM block_aside)
FROM telemetry_store;

-- name: refusals_total
SELECT reason, sum(count) FROM refusal GROUP BY reason ORDER BY reason;
