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
WHERE excluded.at_ms >= device_facts.at_ms;

-- name: device_facts_count
SELECT count(*) FROM device_facts WHERE agent_id = $1 AND device <> $2;

-- name: device_facts_after
SELECT agent_id, device, facts, drifted, at_ms, kind, profile, vendor, model, firmware
FROM device_facts
WHERE (agent_id > $1 OR (agent_id = $1 AND device > $2)) AND ($3 = '' OR agent_id = $3)
    AND drifted >= $4
ORDER BY agent_id, device LIMIT $5;

-- name: device_words
-- $3, $4: only of this vendor, of this model.
SELECT agent_id, device, kind, profile, vendor, model, firmware FROM device_facts
WHERE (agent_id > $1 OR (agent_id = $1 AND device > $2)) AND ($3 = '' OR vendor = $3)
    AND ($4 = '' OR model = $4)
ORDER BY agent_id, device LIMIT $5;

-- name: labels_with_devices
SELECT a.agent_id, l.key, l.value
FROM (SELECT DISTINCT agent_id FROM device_facts WHERE agent_id >= $1 AND agent_id <> $2
    ORDER BY agent_id LIMIT $3) a
LEFT JOIN agent_label l ON l.agent_id = a.agent_id;

-- name: device_facts_forget
DELETE FROM device_facts WHERE agent_id = $1 AND device = $2;

-- name: device_facts_one
SELECT agent_id, device, facts, drifted, at_ms FROM device_facts
WHERE agent_id = $1 AND device = $2;
