-- Rollouts: members, stages, counts, and the changes that are still to be counted.

-- name: rollout_insert
INSERT INTO rollout (job_id, policy, progress, state, updated_ms) VALUES ($1, $2, $3, $4, $5);

-- name: rollout_begin
UPDATE rollout SET due_ms = $2, begun_ms = $2, updated_ms = $2, version = version + 1
WHERE job_id = $1;

-- name: rollout
SELECT r.job_id, r.policy, r.progress, r.version, r.undo, r.begun_ms, r.words, r.updated_ms,
    j.name, j.digest, j.spec, j.not_after_ms, j.cancel_ms, j.created_ms, j.created_by, j.author,
    j.job_class, j.targets, j.released_ms, r.due_ms, j.trace
FROM rollout r JOIN job j ON j.job_id = r.job_id
WHERE r.job_id = $1;

-- name: rollout_policy
SELECT policy FROM rollout WHERE job_id = $1;

-- name: rollout_state
SELECT state FROM rollout WHERE job_id = $1 AND begun_ms IS NOT NULL;

-- name: rollouts_by_state
-- Those that began; of a job that was called off `cancel_ms` is some number, when does not matter.
SELECT r.state, CASE WHEN j.cancel_ms IS NULL THEN NULL ELSE 1 END AS cancel_ms,
    CASE WHEN EXISTS (SELECT 1 FROM execution e WHERE e.job_id = r.job_id AND e.state < $1)
        THEN 1 ELSE 0 END AS busy,
    count(*)
FROM rollout r JOIN job j ON j.job_id = r.job_id
WHERE r.begun_ms IS NOT NULL AND j.released_ms IS NOT NULL
GROUP BY r.state, 2, 3;

-- name: rollout_states
SELECT job_id, state FROM rollout WHERE job_id BETWEEN $1 AND $2 AND begun_ms IS NOT NULL;

-- name: rollouts_before
SELECT job_id FROM rollout WHERE job_id < $1 AND (state = $3 OR $3 = -1)
ORDER BY job_id DESC LIMIT $2;

-- name: rollouts_due
-- From job to job in the index: what changed may be a hundred thousand rows of one job.
WITH RECURSIVE changed (job_id) AS (
    SELECT (SELECT job_id FROM rollout_event ORDER BY job_id LIMIT 1)
    UNION ALL
    SELECT (SELECT e.job_id FROM rollout_event e WHERE e.job_id > c.job_id
        ORDER BY e.job_id LIMIT 1)
    FROM changed c WHERE c.job_id IS NOT NULL
)
SELECT job_id FROM rollout WHERE due_ms <= $1
UNION SELECT job_id FROM changed WHERE job_id IS NOT NULL;

-- name: rollout_claim
SELECT job_id FROM rollout WHERE job_id = $1 FOR NO KEY UPDATE SKIP LOCKED;

-- name: rollout_next_due
SELECT due_ms FROM rollout WHERE due_ms IS NOT NULL ORDER BY due_ms LIMIT 1;

-- name: rollout_save
UPDATE rollout SET progress = $3, state = $4, due_ms = $5, words = $6, updated_ms = $7,
    version = version + 1
WHERE job_id = $1 AND version = $2 RETURNING version;

-- name: rollout_undone_by
UPDATE rollout SET undo = $2 WHERE job_id = $1;

-- name: rollout_undone
SELECT job_id FROM rollout WHERE undo = $1;

-- name: job_hold
UPDATE job SET held_ms = $2 WHERE job_id = $1 AND held_ms IS NULL;

-- name: job_let_go
UPDATE job SET held_ms = NULL WHERE job_id = $1 AND held_ms IS NOT NULL;

-- name: site_of_agents
SELECT agent_id, site FROM agent;

-- name: labels_of_key
SELECT agent_id, value FROM agent_label WHERE key = $1;

-- name: rollout_stage_insert
INSERT INTO rollout_stage (job_id, stage, planned, members) VALUES ($1, $2, $3, $3);

-- name: rollout_stages
SELECT stage, planned, members, released, opened_ms FROM rollout_stage
WHERE job_id = $1 ORDER BY stage;

-- name: rollout_stage_opened
UPDATE rollout_stage SET opened_ms = $3 WHERE job_id = $1 AND stage = $2 AND opened_ms IS NULL;

-- name: rollout_stage_changed
UPDATE rollout_stage SET members = members + $3, released = released + $4
WHERE job_id = $1 AND stage = $2;

-- name: rollout_member_insert
INSERT INTO rollout_member (job_id, agent_id, stage, place, site, rank, ready)
VALUES ($1, $2, $3, $4, $5, $6, $7);

-- name: rollout_members
SELECT agent_id FROM rollout_member WHERE job_id = $1;

-- name: rollout_members_after
SELECT agent_id, stage, execution_id IS NOT NULL FROM rollout_member
WHERE job_id = $1 AND agent_id > $2 ORDER BY agent_id LIMIT $3;

-- name: rollout_next
SELECT a.agent_id, a.revoked_ms, a.leave_ms, a.left_ms
FROM rollout_member m JOIN agent a ON a.agent_id = m.agent_id
WHERE job_id = $1 AND stage = $2 AND ready = 1 AND execution_id IS NULL ORDER BY place LIMIT $3;

-- name: rollout_member_released
UPDATE rollout_member SET execution_id = $3 WHERE job_id = $1 AND agent_id = $2;

-- name: rollout_execution_insert
INSERT INTO execution (agent_id, execution_id, job_id, state, created_ms, updated_ms, stage)
VALUES ($1, $2, $3, 0, $4, $4, $5);

-- name: rollout_site_insert
INSERT INTO rollout_site (job_id, site, members, room) VALUES ($1, $2, $3, $4)
ON CONFLICT (job_id, site) DO NOTHING;

-- name: rollout_site_of
SELECT s.site, s.room, s.members FROM rollout_member m
JOIN rollout_site s ON s.job_id = m.job_id AND s.site = m.site
WHERE m.job_id = $1 AND m.agent_id = $2;

-- name: rollout_site_room
UPDATE rollout_site SET room = $3 WHERE job_id = $1 AND site = $2;

-- name: rollout_member_ready
UPDATE rollout_member SET ready = 1 WHERE job_id = $1 AND agent_id = $2;

-- name: rollout_site_grows
-- Up to the `$3`th member that takes part of those that have no room yet; where there are fewer,
-- whoever joins later finds the rest.
UPDATE rollout_site SET room = coalesce(
    (SELECT m.rank + 1 FROM rollout_member m
        WHERE m.job_id = $1 AND m.site = $2 AND m.rank >= rollout_site.room AND m.stage >= 0
        ORDER BY m.rank LIMIT 1 OFFSET CAST($3 AS BIGINT) - 1),
    CASE WHEN room > members THEN room ELSE members END + $3 - (
        SELECT count(*) FROM rollout_member m
        WHERE m.job_id = $1 AND m.site = $2 AND m.rank >= rollout_site.room AND m.stage >= 0)
    )
WHERE job_id = $1 AND site = $2;

-- name: rollout_site_joined
UPDATE rollout_site SET members = members + 1 WHERE job_id = $1 AND site = $2
RETURNING members, room;

-- name: rollout_members_ready
UPDATE rollout_member SET ready = 1
WHERE job_id = $1 AND site = $2 AND rank >= $3
    AND rank < (SELECT room FROM rollout_site WHERE job_id = $1 AND site = $2);

-- name: rollout_member_again
UPDATE rollout_member
SET execution_id = NULL, stage = $3, place = place + $4, rank = $5, ready = $6
WHERE job_id = $1 AND agent_id = $2;

-- name: rollout_member_moved
UPDATE rollout_member SET stage = $3 WHERE job_id = $1 AND agent_id = $2;

-- name: rollout_waiting_moved
UPDATE rollout_member SET stage = $3, place = place + $4
WHERE job_id = $1 AND agent_id IN (
    SELECT agent_id FROM rollout_member
    WHERE job_id = $1 AND stage = $2 AND ready IN (0, 1) AND execution_id IS NULL
    ORDER BY ready, place LIMIT $5
) RETURNING agent_id, ready;

-- name: rollout_withdraw
DELETE FROM execution WHERE execution_id IN (
    SELECT execution_id FROM execution
    WHERE job_id = $1 AND stage = $2 AND state = 0 AND signed_seq IS NULL
        AND job_id >= $3
    LIMIT $4
) RETURNING agent_id;

-- name: rollout_remove
UPDATE execution SET state = $4, updated_ms = $5, version = version + 1
WHERE job_id = $1 AND stage = $2 AND state = 0 AND signed_seq IS NULL
    AND job_id >= $3
RETURNING agent_id;

-- name: rollout_carry
UPDATE execution SET stage = $3, version = version + 1
WHERE job_id = $1 AND stage = $2 AND state = 0 RETURNING agent_id;

-- name: rollout_drop
UPDATE execution SET state = $3, overdue_ms = $4, overdue_from = state, updated_ms = $4,
    cancel_ms = coalesce(cancel_ms, $4), version = version + 1
WHERE job_id = $1 AND stage = $2 AND state = 0 RETURNING agent_id;

-- name: rollout_counts
SELECT stage, state, count FROM rollout_count WHERE job_id = $1 AND count <> 0;

-- name: rollout_count
INSERT INTO rollout_count (job_id, stage, state, count) VALUES ($1, $2, $3, $4)
ON CONFLICT (job_id, stage, state) DO UPDATE SET count = rollout_count.count + excluded.count;

-- name: rollout_events
SELECT e.event_id, e.stage, e.before, e.after, s.site, s.room, s.members
FROM rollout_event e
    LEFT JOIN rollout_member m ON m.job_id = e.job_id AND m.agent_id = e.agent_id
    LEFT JOIN rollout_site s ON s.job_id = m.job_id AND s.site = m.site
WHERE e.job_id = $1 ORDER BY e.event_id LIMIT $2;

-- name: rollout_next_at_sites
-- Of each site that something happened at, as many members as things happened. CROSS JOIN, because
-- SQLite then goes from the sites to their members; else it looks at every member of the rollout.
SELECT n.site, n.agent_id, n.stage
FROM (
    SELECT s.site, s.room, count(*) AS events
    FROM rollout_event e
        JOIN rollout_member m ON m.job_id = e.job_id AND m.agent_id = e.agent_id
        JOIN rollout_site s ON s.job_id = m.job_id AND s.site = m.site
    WHERE e.job_id = $1 AND e.event_id <= $2
    GROUP BY s.site, s.room
) g CROSS JOIN rollout_member n
WHERE n.job_id = $1 AND n.site = g.site AND n.rank >= g.room AND n.rank < g.room + g.events
ORDER BY n.site, n.rank;

-- name: rollout_events_counted
DELETE FROM rollout_event WHERE job_id = $1 AND event_id <= $2;

-- name: rollout_overdue
-- $4 is an open state: `execution_by_job` has those in the order of their release.
UPDATE execution SET state = $2, overdue_from = state, overdue_ms = $3, updated_ms = $3,
    version = version + 1
WHERE job_id = $1 AND state = $4
    AND CASE WHEN state < 10 THEN created_ms ELSE updated_ms END <= $5
RETURNING agent_id;

-- name: rollout_oldest
SELECT created_ms FROM execution WHERE job_id = $1 AND state = $2
ORDER BY CASE WHEN state < 10 THEN created_ms ELSE updated_ms END LIMIT 1;

-- name: rollout_to_undo
SELECT e.agent_id FROM execution e
WHERE e.job_id = $1 AND (e.state = $2 OR e.state = $4 AND e.cancel_how = $5)
    AND e.agent_id NOT IN (SELECT u.agent_id FROM execution u WHERE u.job_id = $3)
    AND e.agent_id NOT IN (SELECT t.agent_id FROM job_target t WHERE t.job_id = $3)
ORDER BY e.agent_id;

-- name: rollout_undo_insert
INSERT INTO job (job_id, name, digest, spec, job_class, targets, not_after_ms, created_ms,
    created_by, trace, author, threshold, released_ms)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13);

-- name: job_targets_added
UPDATE job SET targets = targets + $2 WHERE job_id = $1;

-- name: job_reopened
UPDATE job SET expired_ms = NULL,
    not_after_ms = CASE WHEN not_after_ms < $2 THEN CAST($2 AS BIGINT) ELSE not_after_ms END
WHERE job_id = $1;

-- name: contact_habits
SELECT agent_id, last_ms, interval_ms FROM contact;

-- name: open_with_conflict_key
SELECT j.job_id, j.name, e.agent_id FROM job j JOIN execution e ON e.job_id = j.job_id
WHERE j.conflict_key = $1 AND e.state < $2;
