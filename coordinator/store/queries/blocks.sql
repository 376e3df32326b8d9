-- name: telemetry_ranges
SELECT received, ledger FROM telemetry_store WHERE agent_id = $1 AND epoch = $2;

-- name: telemetry_save
INSERT INTO telemetry_store (agent_id, epoch, ordinal, next_block, received, ledger,
    blocks, bytes, readings, lost,
    said_sampled, said_suppressed, said_delivered, said_stored, said_lost)
VALUES ($1, $2,
    (SELECT count(*) + 1 FROM (SELECT 1 FROM telemetry_store WHERE agent_id = $1 LIMIT $16) n),
    $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
ON CONFLICT (agent_id, epoch) DO UPDATE SET
    next_block = CASE WHEN excluded.next_block > telemetry_store.next_block
        THEN excluded.next_block ELSE telemetry_store.next_block END,
    received = excluded.received,
    ledger = excluded.ledger,
    blocks = telemetry_store.blocks + excluded.blocks,
    bytes = telemetry_store.bytes + excluded.bytes,
    readings = telemetry_store.readings + excluded.readings,
    lost = telemetry_store.lost + excluded.lost,
    said_sampled = CASE WHEN CAST($15 AS BIGINT) = 1 THEN excluded.said_sampled ELSE telemetry_store.said_sampled END,
    said_suppressed = CASE WHEN CAST($15 AS BIGINT) = 1 THEN excluded.said_suppressed ELSE telemetry_store.said_suppressed END,
    said_delivered = CASE WHEN CAST($15 AS BIGINT) = 1 THEN excluded.said_delivered ELSE telemetry_store.said_delivered END,
    said_stored = CASE WHEN CAST($15 AS BIGINT) = 1 THEN excluded.said_stored ELSE telemetry_store.said_stored END,
    said_lost = CASE WHEN CAST($15 AS BIGINT) = 1 THEN excluded.said_lost ELSE telemetry_store.said_lost END
RETURNING gone, next_block, readings;

-- name: telemetry_of_agent
SELECT epoch, next_block, blocks, readings, lost, received, ordinal,
    said_sampled, said_suppressed, said_delivered, said_stored, said_lost, gone
FROM telemetry_store WHERE agent_id = $1 ORDER BY ordinal;

-- name: block_digest
SELECT digest FROM block WHERE agent_id = $1 AND epoch = $2 AND seq = $3;

-- name: block_insert
INSERT INTO block (agent_id, epoch, seq, digest, priority, first_ms, last_ms, count, schema_ref,
    received_ms, data, boot, mono_ms, wall_ms, clock_state, clock_err_ms, shift_ms, sureness,
    err_ms, is_long)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20);

-- name: block_aside_insert
INSERT INTO block_aside (agent_id, epoch, seq, digest, received_ms, data)
SELECT $1, $2, $3, $4, $5, $6
WHERE (SELECT count(*) FROM block_aside WHERE agent_id = $1) < $7
ON CONFLICT DO NOTHING;

-- name: block_aside_exists
SELECT 1 FROM block_aside WHERE agent_id = $1 AND epoch = $2 AND seq = $3 AND digest = $4;

-- name: block_remove
DELETE FROM block WHERE agent_id = $1 AND epoch = $2 AND seq = $3;

-- name: ledger_insert
INSERT INTO ledger (agent_id, epoch, number, reason, first_ms, last_ms, count, estimated,
    received_ms)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9);

-- name: schema
SELECT data FROM schema WHERE agent_id = $1 AND schema_ref = $2;

-- name: schema_want
INSERT INTO schema (agent_id, schema_ref) VALUES ($1, $2) ON CONFLICT DO NOTHING
RETURNING schema_ref;

-- name: schema_learn
UPDATE schema SET data = $3, received_ms = $4
WHERE agent_id = $1 AND schema_ref = $2 AND data IS NULL;

-- name: schemas_wanted
SELECT schema_ref FROM schema WHERE agent_id = $1 AND data IS NULL LIMIT $2;

-- name: blocks_of_agent
SELECT last_ms, agent_id, epoch, seq FROM block
WHERE agent_id = $8 AND last_ms <= $1 AND (last_ms, agent_id, epoch, seq) < ($1, $2, $3, $4)
    AND last_ms >= $5 AND first_ms < $6
ORDER BY last_ms DESC, epoch DESC, seq DESC LIMIT $7;

-- name: blocks_of_all
SELECT last_ms, agent_id, epoch, seq FROM block
WHERE last_ms <= $1 AND (last_ms, agent_id, epoch, seq) < ($1, $2, $3, $4)
    AND last_ms >= $5 AND first_ms < $6
ORDER BY last_ms DESC, agent_id DESC, epoch DESC, seq DESC LIMIT $7;

-- name: block_body
SELECT schema_ref, data, shift_ms, sureness, err_ms FROM block
WHERE agent_id = $1 AND epoch = $2 AND seq = $3;

-- name: long_blocks_end
SELECT max(last_ms) FROM block WHERE is_long = 1 AND first_ms < $1;
