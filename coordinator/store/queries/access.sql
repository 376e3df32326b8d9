-- name: token
SELECT name, secret_hash, scope, expires_ms, revoked_ms, selector FROM token WHERE token_id = $1;

-- name: token_insert
INSERT INTO token (token_id, name, secret_hash, scope, selector, created_ms, expires_ms)
VALUES ($1, $2, $3, $4, $5, $6, $7);

-- name: token_view
SELECT token_id, name, scope, selector, created_ms, expires_ms, revoked_ms
FROM token WHERE token_id = $1;

-- name: tokens_after
SELECT token_id, name, scope, selector, created_ms, expires_ms, revoked_ms
FROM token WHERE token_id > $1 ORDER BY token_id LIMIT $2;

-- name: token_revoke
UPDATE token SET revoked_ms = $2 WHERE token_id = $1 AND revoked_ms IS NULL RETURNING name;

-- name: audit_head
SELECT number, hash FROM audit ORDER BY number DESC LIMIT 1;

-- name: audit_insert
INSERT INTO audit (number, at_ms, actor, source, action, object, detail, hash)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8);

-- name: audit_before
SELECT number, at_ms, actor, source, action, object, detail, hash FROM audit
WHERE number < $1 AND ($2 = '' OR action = $2) AND ($3 = '' OR object = $3)
ORDER BY number DESC LIMIT $4;

-- name: audit_after
SELECT number, at_ms, actor, source, action, object, detail, hash FROM audit
WHERE number > $1 ORDER BY number LIMIT $2;

-- name: labels_of_one
SELECT a.agent_id, l.key, l.value
FROM agent a LEFT JOIN agent_label l ON l.agent_id = a.agent_id
WHERE a.agent_id = $1;

-- name: label_rows_of_job
SELECT a.agent_id, l.key, l.value
FROM (
    SELECT agent_id FROM execution WHERE job_id = $1
    UNION SELECT agent_id FROM job_target WHERE job_id = $1
    UNION SELECT agent_id FROM rollout_member WHERE job_id = $1
) a LEFT JOIN agent_label l ON l.agent_id = a.agent_id;
