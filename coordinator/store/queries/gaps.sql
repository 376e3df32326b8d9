-- The gap map as people see it.

-- name: gap_stores
SELECT epoch, next_block, received, gone FROM telemetry_store WHERE agent_id = $1 ORDER BY ordinal;

-- name: gap_neighbours
SELECT
    (SELECT last_ms FROM block WHERE agent_id = $1 AND epoch = $2 AND seq < $3
     ORDER BY seq DESC LIMIT 1),
    (SELECT first_ms FROM block WHERE agent_id = $1 AND epoch = $2 AND seq > $4
     ORDER BY seq LIMIT 1);

-- name: gap_reasons
SELECT reason, sum(count), min(first_ms), max(last_ms), max(estimated)
FROM ledger WHERE agent_id = $1 AND epoch = $2 GROUP BY reason ORDER BY min(first_ms), reason;

-- name: gap_readings
SELECT (last_ms - $2) / $3, sum(count) FROM block
WHERE agent_id = $1 AND last_ms >= $2 AND last_ms < $4 GROUP BY 1;

-- name: gap_losses
SELECT (last_ms - $2) / $3, sum(count) FROM ledger
WHERE agent_id = $1 AND last_ms >= $2 AND last_ms < $4 GROUP BY 1;
