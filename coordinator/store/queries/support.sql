-- What agents tell of themselves and of their devices when a job asks.

-- name: support_insert
INSERT INTO support_bundle (agent_id, sha256, name, size, parts, at_ms)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT DO NOTHING;

-- name: support_piece_insert
INSERT INTO support_piece (agent_id, sha256, number, data) VALUES ($1, $2, $3, $4)
ON CONFLICT DO NOTHING
RETURNING number;

-- name: support_old
SELECT sha256 FROM support_bundle WHERE agent_id = $1
ORDER BY at_ms DESC, sha256 LIMIT 100 OFFSET $2;

-- name: support_pieces_forget
DELETE FROM support_piece WHERE agent_id = $1 AND sha256 = $2;

-- name: support_forget
DELETE FROM support_bundle WHERE agent_id = $1 AND sha256 = $2;

-- name: support_of_agent
SELECT b.sha256, b.name, b.size, b.parts, b.at_ms,
    (SELECT count(*) FROM support_piece p WHERE p.agent_id = b.agent_id AND p.sha256 = b.sha256)
FROM support_bundle b WHERE b.agent_id = $1
ORDER BY b.at_ms DESC, b.sha256;

-- name: support_parts
SELECT parts FROM support_bundle WHERE agent_id = $1 AND sha256 = $2;

-- name: support_pieces
SELECT data FROM support_piece WHERE agent_id = $1 AND sha256 = $2 ORDER BY number;

-- name: device_facts_save
INSERT INTO device_facts
    (agent_id, device, facts, drifted, at_ms, kind, profile, vendor, model, firmware)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
ON CONFLICT (agent_id, device) DO UPDATE
SET facts = excluded.facts, drifted = excluded.drifted, at_ms = excluded.at_ms,
    kind = excluded.kind, profile = excluded.profile, vendor = excluded.vendor,
    model = excluded.model, firmware = excluded.firmware
WHERE excluded.at_ms >= device_facts.at_ms OR device_facts.at_ms > $11;

-- name: device_facts_count
SELECT count(*) FROM device_facts WHERE agent_id = $1 AND device <> $2;

-- name: devices_after
-- Those that said what they are, and those that could not: they never answered.
SELECT f.agent_id, f.device, f.facts, f.drifted, f.at_ms, f.kind, f.profile, f.vendor, f.model,
    f.firmware, s.silent_since_ms, s.image_permille, s.at_ms
FROM device_facts f
LEFT JOIN device_state s ON s.agent_id = f.agent_id AND s.device = f.device
WHERE (f.agent_id > $1 OR (f.agent_id = $1 AND f.device > $2)) AND ($3 = '' OR f.agent_id = $3)
    AND f.drifted >= $4
UNION ALL
SELECT s.agent_id, s.device, '{}', 0, NULL, '', '', '', '', '',
    s.silent_since_ms, s.image_permille, s.at_ms
FROM device_state s
WHERE (s.agent_id > $1 OR (s.agent_id = $1 AND s.device > $2)) AND ($3 = '' OR s.agent_id = $3)
    AND $4 = 0 AND NOT EXISTS
    (SELECT 1 FROM device_facts f WHERE f.agent_id = s.agent_id AND f.device = s.device)
ORDER BY 1, 2 LIMIT $5;

-- name: device_words
-- $3, $4: only of this vendor, of this model.
SELECT f.agent_id, f.device, f.kind, f.profile, f.vendor, f.model, f.firmware, s.silent_since_ms
FROM device_facts f
LEFT JOIN device_state s ON s.agent_id = f.agent_id AND s.device = f.device
WHERE (f.agent_id > $1 OR (f.agent_id = $1 AND f.device > $2)) AND ($3 = '' OR f.vendor = $3)
    AND ($4 = '' OR f.model = $4)
ORDER BY f.agent_id, f.device LIMIT $5;

-- name: labels_with_devices
SELECT a.agent_id, l.key, l.value
FROM (SELECT agent_id FROM device_facts WHERE agent_id >= $1 AND agent_id <> $2
    UNION SELECT agent_id FROM device_state WHERE agent_id >= $1 AND agent_id <> $2
    ORDER BY agent_id LIMIT $3) a
LEFT JOIN agent_label l ON l.agent_id = a.agent_id;

-- name: device_facts_forget
DELETE FROM device_facts WHERE agent_id = $1 AND device = $2;

-- name: device_facts_one
SELECT agent_id, device, facts, drifted, at_ms FROM device_facts
WHERE agent_id = $1 AND device = $2;

-- name: device_state_one
SELECT silent_since_ms, image_permille, at_ms FROM device_state
WHERE agent_id = $1 AND device = $2;

-- name: device_states
SELECT device, silent_since_ms, image_permille FROM device_state WHERE agent_id = $1
ORDER BY device;

-- name: device_states_forget
DELETE FROM device_state WHERE agent_id = $1;

-- name: device_state_forget
DELETE FROM device_state WHERE agent_id = $1 AND device = $2;

-- name: device_state_save
INSERT INTO device_state (agent_id, device, silent_since_ms, image_permille, at_ms)
VALUES ($1, $2, $3, $4, $5);

-- name: images_of_job
-- $2: IN_PROGRESS.
SELECT s.agent_id, s.device, s.image_permille, s.at_ms
FROM device_state s
JOIN execution e ON e.agent_id = s.agent_id AND e.job_id = $1 AND e.state = $2
WHERE s.image_permille IS NOT NULL
ORDER BY s.agent_id, s.device LIMIT $3;
