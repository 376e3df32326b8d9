-- Devices that gateways found and nobody attached.

-- name: candidate
SELECT vendor, model, firmware, serial, device, ignored, first_ms, seen_ms, lost_ms
FROM device_candidate WHERE agent_id = $1 AND way = $2 AND place = $3;

-- name: candidate_save
INSERT INTO device_candidate (agent_id, way, place, vendor, model, firmware, serial, name,
    before_place, device, ignored, first_ms, seen_ms, lost_ms)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, NULL)
ON CONFLICT (agent_id, way, place) DO UPDATE
SET vendor = excluded.vendor, model = excluded.model, firmware = excluded.firmware,
    serial = excluded.serial, name = excluded.name, before_place = excluded.before_place,
    device = excluded.device, ignored = excluded.ignored, first_ms = excluded.first_ms, seen_ms = excluded.seen_ms,
    lost_ms = NULL;

-- name: candidate_lost
UPDATE device_candidate SET lost_ms = $4
WHERE agent_id = $1 AND way = $2 AND place = $3 AND lost_ms IS NULL RETURNING place;

-- name: candidate_forget
DELETE FROM device_candidate WHERE agent_id = $1 AND way = $2 AND place = $3 RETURNING first_ms, ignored;

-- name: candidate_forget_place
DELETE FROM device_candidate WHERE agent_id = $1 AND place = $2;

-- name: candidate_count
SELECT count(*) FROM device_candidate WHERE agent_id = $1;

-- name: candidate_ignore
UPDATE device_candidate SET ignored = $3 WHERE agent_id = $1 AND place = $2 RETURNING way;

-- name: candidates_after
SELECT agent_id, way, place, vendor, model, firmware, serial, name, before_place, device, ignored,
    first_ms, seen_ms, lost_ms
FROM device_candidate
WHERE (agent_id > $1 OR (agent_id = $1 AND (place > $2 OR (place = $2 AND way > $3))))
    AND ($4 = '' OR agent_id = $4) AND ignored <= $5
ORDER BY agent_id, place, way LIMIT $6;

-- name: candidate_refused
SELECT place FROM device_candidate
WHERE agent_id = $1 AND way = $2 AND serial = $3 AND vendor = $4 AND model = $5 AND ignored = 1 LIMIT 1;

-- name: labels_with_candidates
SELECT a.agent_id, l.key, l.value
FROM (SELECT DISTINCT agent_id FROM device_candidate WHERE agent_id >= $1 AND agent_id <> $2
    ORDER BY agent_id LIMIT $3) a
LEFT JOIN agent_label l ON l.agent_id = a.agent_id;

-- name: candidates_at
SELECT agent_id, way, place, vendor, model, firmware, serial, name, before_place, device, ignored,
    first_ms, seen_ms, lost_ms
FROM device_candidate WHERE agent_id = $1 AND place = $2 ORDER BY way;
