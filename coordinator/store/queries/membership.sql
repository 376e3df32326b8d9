-- Keys that wait for a person, and what agents say of themselves.

-- name: key_known
SELECT k.agent_id, a.revoked_ms, a.left_ms, a.site,
    k.public_key = a.public_key OR (a.next_key IS NOT NULL AND k.public_key = a.next_key)
FROM agent_key k JOIN agent a ON a.agent_id = k.agent_id
WHERE k.public_key = $1;

-- name: key_insert
INSERT INTO agent_key (public_key, agent_id, since_ms) VALUES ($1, $2, $3);

-- name: enrolment_insert
INSERT INTO enrolment (enrolment_id, fingerprint, state, site, name, labels, address, first_ms,
    asked_ms)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT DO NOTHING
RETURNING enrolment_id;

-- name: enrolment_by_fingerprint
SELECT enrolment_id, fingerprint, state, site, name, labels, address, first_ms, asked_ms
FROM enrolment WHERE fingerprint = $1;

-- name: enrolment_by_id
SELECT enrolment_id, fingerprint, state, site, name, labels, address, first_ms, asked_ms
FROM enrolment WHERE enrolment_id = $1;

-- name: enrolments_after
SELECT enrolment_id, fingerprint, state, site, name, labels, address, first_ms, asked_ms
FROM enrolment WHERE enrolment_id > $1 AND ($2 = '' OR state = $2)
ORDER BY enrolment_id LIMIT $3;

-- name: enrolment_counts
SELECT
    count(*) FILTER (WHERE state != 'EXPECTED'),
    count(*) FILTER (WHERE state != 'EXPECTED' AND address = $1),
    count(*) FILTER (WHERE state != 'EXPECTED' AND first_ms > $2),
    count(*) FILTER (WHERE state = 'EXPECTED')
FROM enrolment;

-- name: enrolment_forget_old
DELETE FROM enrolment
WHERE state = 'PENDING' AND asked_ms < $1 OR state = 'REJECTED' AND asked_ms < $2;

-- name: enrolment_asked
UPDATE enrolment SET asked_ms = $2 WHERE fingerprint = $1;

-- name: enrolment_decide
UPDATE enrolment SET state = $2, site = $3, name = $4 WHERE enrolment_id = $1;

-- name: enrolment_delete
DELETE FROM enrolment WHERE enrolment_id = $1;

-- name: name_expected
SELECT 1 FROM enrolment WHERE name = $1 AND state = 'EXPECTED' AND fingerprint != $2;

-- name: agent_wish_rekey
UPDATE agent SET rekey_ms = $2 WHERE agent_id = $1 RETURNING agent_id;

-- name: agent_next_key
UPDATE agent SET next_key = $2 WHERE agent_id = $1;

-- name: agent_turn_key
UPDATE agent SET public_key = next_key, next_key = NULL, rekey_ms = NULL WHERE agent_id = $1;

-- name: agent_ask_to_leave
UPDATE agent SET leave_ms = coalesce(leave_ms, $2) WHERE agent_id = $1 RETURNING agent_id;

-- name: agent_left
UPDATE agent SET left_ms = coalesce(left_ms, $2) WHERE agent_id = $1;

-- name: agent_labels_number
SELECT labels_number FROM agent WHERE agent_id = $1;

-- name: agent_labelled
UPDATE agent SET labels_number = $2 WHERE agent_id = $1;

-- name: labels_forget
DELETE FROM agent_label WHERE agent_id = $1 AND key != 'site';

-- name: agent_leaving
SELECT leave_ms, left_ms, public_key, next_key, revoked_ms FROM agent WHERE agent_id = $1;
