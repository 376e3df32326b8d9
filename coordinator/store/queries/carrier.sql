-- Sticks, backups, and what a restore asks for again.

-- name: carried
SELECT counter, number, digest, telemetry_epoch, acked, nacked, root_version, catalog_version,
    policy_version, attested
FROM carried WHERE agent_id = $1 AND jobs_epoch = $2;

-- name: carried_newest
SELECT c.jobs_epoch, c.digest, c.telemetry_epoch, c.acked, c.nacked, c.root_version,
    c.catalog_version, c.policy_version, c.attested, c.counter
FROM carried c JOIN jobs_store j ON j.agent_id = c.agent_id AND j.epoch = c.jobs_epoch
WHERE c.agent_id = $1 ORDER BY j.ordinal DESC LIMIT 1;

-- name: carried_save
INSERT INTO carried (agent_id, jobs_epoch, counter, number, digest, telemetry_epoch, acked, nacked,
    root_version, catalog_version, policy_version, attested, received_ms)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
ON CONFLICT (agent_id, jobs_epoch) DO UPDATE SET
    counter = excluded.counter,
    number = excluded.number,
    digest = excluded.digest,
    telemetry_epoch = excluded.telemetry_epoch,
    acked = excluded.acked,
    nacked = excluded.nacked,
    root_version = excluded.root_version,
    catalog_version = excluded.catalog_version,
    policy_version = excluded.policy_version,
    attested = excluded.attested,
    received_ms = excluded.received_ms;

-- name: carried_late
UPDATE carried SET acked = $3, nacked = $4 WHERE agent_id = $1 AND jobs_epoch = $2;

-- name: carried_presence
-- The chain of online reports stays as it is: an empty digest knows none.
INSERT INTO contact (agent_id, counter, digest, telemetry_epoch, jobs_epoch, boot_id, clock_state,
    offset_ms, refusals, last_ms, interval_ms, contacts, bytes_up, bytes_down)
VALUES ($1, $2, $10, $3, $4, $5, $6, $7, $8, $9, NULL, 0, 0, 0)
ON CONFLICT (agent_id) DO UPDATE SET
    telemetry_epoch = excluded.telemetry_epoch,
    boot_id = excluded.boot_id,
    clock_state = excluded.clock_state,
    offset_ms = excluded.offset_ms,
    refusals = excluded.refusals,
    last_ms = CASE WHEN excluded.last_ms > contact.last_ms
        THEN excluded.last_ms ELSE contact.last_ms END;

-- name: stores_of_agent
SELECT telemetry_epoch, jobs_epoch FROM contact WHERE agent_id = $1;

-- name: telemetry_gone
SELECT gone, next_block, readings FROM telemetry_store WHERE agent_id = $1 AND epoch = $2;

-- name: telemetry_gone_save
UPDATE telemetry_store SET gone = $3 WHERE agent_id = $1 AND epoch = $2;

-- name: telemetry_safe
SELECT safe_to FROM backup_store WHERE agent_id = $1 AND epoch = $2;

-- name: backup_made
INSERT INTO backup (one, made_ms, digest) VALUES (1, $1, $2)
ON CONFLICT (one) DO UPDATE SET made_ms = excluded.made_ms, digest = excluded.digest;

-- name: backup_newest
SELECT made_ms FROM backup;

-- name: backup_safe
INSERT INTO backup_store (agent_id, epoch, safe_to) VALUES ($1, $2, $3)
ON CONFLICT (agent_id, epoch) DO UPDATE SET safe_to = excluded.safe_to;

-- name: restore_insert
INSERT INTO restore (restore_epoch, at_ms, made_ms) VALUES ($1, $2, $3);

-- name: restore_epoch_set
UPDATE fleet SET restore_epoch = $1;

-- name: was_restored
SELECT restore_epoch FROM fleet WHERE restore_epoch > 0;

-- name: telemetry_all
SELECT agent_id, epoch, received, gone FROM telemetry_store ORDER BY agent_id, ordinal;

-- name: restore_epoch
SELECT restore_epoch FROM fleet;
