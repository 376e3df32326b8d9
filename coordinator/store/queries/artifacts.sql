-- name: artifact
SELECT digest, size, kind, name, version, labels, image, created_ms, created_by, completed_ms
FROM artifact WHERE digest = $1;

-- name: artifacts_after
SELECT digest, size, kind, name, version, labels, image, created_ms, created_by, completed_ms
FROM artifact WHERE digest > $1 ORDER BY digest LIMIT $2;

-- name: artifact_totals
SELECT count(*), CAST(coalesce(sum(size), 0) AS BIGINT) FROM artifact;

-- name: artifact_insert
INSERT INTO artifact (digest, size, kind, name, version, labels, created_ms, created_by)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8);

-- name: artifact_complete
UPDATE artifact SET completed_ms = $2, image = $3 WHERE digest = $1 AND completed_ms IS NULL
RETURNING digest;

-- name: artifact_lost
UPDATE artifact SET completed_ms = NULL, created_ms = $2
WHERE digest = $1 AND completed_ms IS NOT NULL;

-- name: artifact_goes_on
UPDATE artifact SET created_ms = $2 WHERE digest = $1 AND completed_ms IS NULL;

-- name: artifact_delete
DELETE FROM artifact WHERE digest = $1;

-- name: artifacts_abandoned
SELECT digest FROM artifact WHERE completed_ms IS NULL AND created_ms < $1 LIMIT $2;

-- name: job_artifact_insert
INSERT INTO job_artifact (job_id, digest) VALUES ($1, $2);

-- A job needs its files while an agent may still have to do it, or undo it. One without executions
-- waits for people, or for its turn; a rollout that goes on may be joined, and taken back.
-- name: jobs_needing_artifact
SELECT j.job_id FROM job_artifact n JOIN job j ON j.job_id = n.job_id
WHERE n.digest = $1 AND (
    EXISTS (
        SELECT 1 FROM execution e
        WHERE e.job_id = j.job_id AND (e.state < 10 OR e.state = 30)
    )
    OR (
        j.expired_ms IS NULL AND j.cancel_ms IS NULL AND j.denied_ms IS NULL
        AND (SELECT count(*) FROM execution e WHERE e.job_id = j.job_id) < j.targets
    )
    OR EXISTS (
        SELECT 1 FROM rollout r
        WHERE r.job_id = j.job_id AND r.begun_ms IS NOT NULL AND r.state < 10
    )
)
ORDER BY j.job_id LIMIT $2;

-- name: artifact_of_agent
SELECT a.size, a.completed_ms FROM artifact a
WHERE a.digest = $1 AND EXISTS (
    SELECT 1 FROM job_artifact n JOIN execution e ON e.job_id = n.job_id
    WHERE n.digest = a.digest AND e.agent_id = $2 AND e.signed_ms IS NOT NULL
        AND (e.state < 10 OR e.state = 30)
);
