-- name: agent_identity
SELECT a.public_key, a.revoked_ms, a.quarantined_ms,
    EXISTS (SELECT 1 FROM execution e WHERE e.agent_id = a.agent_id AND e.state = 0)
        OR EXISTS (SELECT 1 FROM execution e
            WHERE e.agent_id = a.agent_id AND e.cancel_ms IS NOT NULL AND e.cancel_how = ''),
    a.next_key, a.rekey_ms, a.leave_ms, a.left_ms
FROM agent a WHERE a.agent_id = $1;

-- name: contact_state
SELECT a.public_key, a.revoked_ms, a.quarantined_ms,
    EXISTS (SELECT 1 FROM execution e WHERE e.agent_id = a.agent_id AND e.state = 0)
        OR EXISTS (SELECT 1 FROM execution e
            WHERE e.agent_id = a.agent_id AND e.cancel_ms IS NOT NULL AND e.cancel_how = ''),
    a.next_key, a.rekey_ms, a.leave_ms, a.left_ms,
    c.counter, c.digest, c.jobs_epoch, c.strays, c.last_ms, c.interval_ms,
    EXISTS (SELECT 1 FROM agent_silent q WHERE q.agent_id = a.agent_id),
    (SELECT r.digest FROM report_seen r
        WHERE r.agent_id = a.agent_id AND r.jobs_epoch = $3 AND r.counter = $4),
    (SELECT r.digest FROM report_seen r
        WHERE r.agent_id = a.agent_id AND r.jobs_epoch = $3 AND r.counter = $4 - 1),
    (SELECT 1 FROM store_left l WHERE l.agent_id = a.agent_id AND l.jobs_epoch = $3),
    t.received, t.ledger, b.safe_to, d.day, d.bytes, j.ordinal, j.received,
    EXISTS (SELECT 1 FROM jobs_store m WHERE m.agent_id = a.agent_id AND m.ordinal > j.ordinal),
    (SELECT k.value FROM keeping k WHERE k.name = 'quota'),
    EXISTS (SELECT 1 FROM schema s WHERE s.agent_id = a.agent_id AND s.data IS NULL),
    EXISTS (SELECT 1 FROM schema s WHERE s.agent_id = a.agent_id AND s.schema_ref = $6),
    (SELECT min(f.mono_ms) FROM anchor f WHERE f.agent_id = a.agent_id AND f.boot = $5),
    o.latest_offset_ms, n.mono_ms, n.wall_ms, n.err_ms, n.is_own
FROM agent a
LEFT JOIN contact c ON c.agent_id = a.agent_id
LEFT JOIN telemetry_store t ON t.agent_id = a.agent_id AND t.epoch = $2
LEFT JOIN backup_store b ON b.agent_id = a.agent_id AND b.epoch = $2
LEFT JOIN intake_day d ON d.agent_id = a.agent_id
LEFT JOIN jobs_store j ON j.agent_id = a.agent_id AND j.epoch = $3
LEFT JOIN boot o ON o.agent_id = a.agent_id AND o.boot = $5
LEFT JOIN anchor n ON n.agent_id = a.agent_id AND n.boot = $5
    AND n.mono_ms = (SELECT max(f.mono_ms) FROM anchor f WHERE f.agent_id = a.agent_id AND f.boot = $5)
WHERE a.agent_id = $1;

-- name: agent_exists
SELECT 1 FROM agent WHERE agent_id = $1;

-- name: agent_insert
INSERT INTO agent (agent_id, public_key, site, claim_id, enrolled_ms) VALUES ($1, $2, $3, $4, $5);

-- name: agent_revoke
UPDATE agent SET revoked_ms = coalesce(revoked_ms, $2) WHERE agent_id = $1 RETURNING agent_id;

-- name: agent_quarantine
UPDATE agent SET quarantined_ms = $2 WHERE agent_id = $1 AND quarantined_ms IS NULL
RETURNING agent_id;

-- name: agent_release
UPDATE agent SET quarantined_ms = NULL WHERE agent_id = $1 AND quarantined_ms IS NOT NULL
RETURNING agent_id;

-- name: agent_bundle
SELECT bundle_seq FROM agent WHERE agent_id = $1;

-- name: agent_next_bundle
UPDATE agent SET bundle_seq = bundle_seq + 1 WHERE agent_id = $1 RETURNING bundle_seq;

-- name: agent_view
SELECT a.agent_id, a.public_key, a.site, a.enrolled_ms, a.revoked_ms, a.quarantined_ms,
    a.leave_ms, a.left_ms, a.rekey_ms, a.next_key,
    c.last_ms, c.interval_ms, c.contacts, c.bytes_up, c.bytes_down,
    c.telemetry_epoch, c.clock_state, c.offset_ms, c.boot_id, c.refusals
FROM agent a LEFT JOIN contact c ON c.agent_id = a.agent_id
WHERE a.agent_id = $1;

-- name: label_insert
INSERT INTO agent_label (agent_id, key, value) VALUES ($1, $2, $3);

-- name: labels_of_agent
SELECT agent_id, key, value FROM agent_label WHERE agent_id = $1;

-- name: labels_of_targets
SELECT a.agent_id, l.key, l.value
FROM agent a LEFT JOIN agent_label l ON l.agent_id = a.agent_id
WHERE a.revoked_ms IS NULL AND a.leave_ms IS NULL;

-- name: labels_after
SELECT a.agent_id, l.key, l.value
FROM (SELECT agent_id FROM agent WHERE agent_id > $1 ORDER BY agent_id LIMIT $2) a
LEFT JOIN agent_label l ON l.agent_id = a.agent_id;

-- name: claim_insert
INSERT INTO claim (claim_id, secret_hash, site, count, expires_ms, created_ms, created_by)
VALUES ($1, $2, $3, $4, $5, $6, $7);

-- name: claim_by_secret
SELECT claim_id, site, count, used, expires_ms FROM claim WHERE secret_hash = $1;

-- name: claim_use
UPDATE claim SET used = used + 1 WHERE claim_id = $1;

-- name: contact_chain
SELECT c.counter, c.digest, c.jobs_epoch, c.strays, c.last_ms, c.interval_ms,
    EXISTS (SELECT 1 FROM agent_silent q WHERE q.agent_id = c.agent_id)
FROM contact c WHERE c.agent_id = $1;

-- name: contact_strays
UPDATE contact SET strays = $2 WHERE agent_id = $1;

-- name: contact_forget
UPDATE contact SET digest = $2, strays = $2 WHERE agent_id = $1;

-- name: report_digest
SELECT digest FROM report_seen WHERE agent_id = $1 AND jobs_epoch = $2 AND counter = $3;

-- name: report_learn
INSERT INTO report_seen (agent_id, jobs_epoch, counter, digest) VALUES ($1, $2, $3, $4)
ON CONFLICT DO NOTHING;

-- name: report_forget_old
DELETE FROM report_seen WHERE agent_id = $1 AND jobs_epoch = $2 AND counter <= $3;

-- name: report_forget
DELETE FROM report_seen WHERE agent_id = $1;

-- name: store_left
SELECT 1 FROM store_left WHERE agent_id = $1 AND jobs_epoch = $2;

-- name: store_leave
INSERT INTO store_left (agent_id, jobs_epoch) VALUES ($1, $2) ON CONFLICT DO NOTHING;

-- name: store_left_forget
DELETE FROM store_left WHERE agent_id = $1;

-- name: contact_save
INSERT INTO contact (agent_id, counter, digest, telemetry_epoch, jobs_epoch, boot_id, clock_state,
    offset_ms, refusals, last_ms, interval_ms, contacts, bytes_up, bytes_down)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 1, $12, $13)
ON CONFLICT (agent_id) DO UPDATE SET
    counter = excluded.counter,
    digest = excluded.digest,
    telemetry_epoch = excluded.telemetry_epoch,
    jobs_epoch = excluded.jobs_epoch,
    boot_id = excluded.boot_id,
    clock_state = excluded.clock_state,
    offset_ms = excluded.offset_ms,
    refusals = excluded.refusals,
    last_ms = excluded.last_ms,
    interval_ms = excluded.interval_ms,
    contacts = contact.contacts + 1,
    bytes_up = contact.bytes_up + excluded.bytes_up,
    bytes_down = contact.bytes_down + excluded.bytes_down;

-- name: health_save
INSERT INTO agent_health (agent_id, numbers, at_ms) VALUES ($1, $2, $3)
ON CONFLICT (agent_id) DO UPDATE SET numbers = excluded.numbers, at_ms = excluded.at_ms;

-- name: health_of_agent
SELECT numbers, at_ms FROM agent_health WHERE agent_id = $1;

-- name: refusal_count
INSERT INTO refusal (agent_id, reason, count, first_ms, last_ms, audited_ms)
VALUES ($1, $2, $3, $4, $4, $4)
ON CONFLICT (agent_id, reason) DO UPDATE SET
    count = refusal.count + excluded.count,
    last_ms = excluded.last_ms
RETURNING count, audited_ms;

-- name: refusal_audited
UPDATE refusal SET audited_ms = $3 WHERE agent_id = $1 AND reason = $2;

-- name: refusals_of_agent
SELECT reason, count FROM refusal WHERE agent_id = $1 ORDER BY reason;
