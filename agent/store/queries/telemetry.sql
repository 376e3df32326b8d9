-- Readings, their account and the loss ledger. `agent.store.blocks` and `ledger` say the names.

-- name: begin
INSERT INTO state VALUES (1, $1, 1, 0, 1, 0, 0, 0, 0, 0, x'', 0, 1, x'', 0, 0, 0, 0, 0)
ON CONFLICT (one) DO NOTHING

-- name: begin_identity
INSERT INTO identity VALUES (1, $1, $2) ON CONFLICT (one) DO NOTHING

-- name: identity
SELECT epoch, crc FROM identity

-- name: set_epoch
UPDATE state SET epoch = $1

-- name: set_identity
UPDATE identity SET epoch = $1, crc = $2

-- name: is_new
SELECT NOT EXISTS (SELECT 1 FROM state)

-- name: load_state
SELECT
    epoch, next_block, sealed, next_loss, sampled, suppressed, delivered, stored, lost,
    journal, last_row, clean, boot, wall_ms, mono_ms, interval_ms, per_day, commits
FROM state

-- name: save_state
UPDATE state SET
    next_block = $2, sealed = $3, next_loss = $4, sampled = $5, suppressed = $6, delivered = $7,
    stored = $8, lost = $9, journal = $10, last_row = $11, clean = $12, boot = $13, wall_ms = $14,
    mono_ms = $15, interval_ms = $16, per_day = $17, commits = $18 + 1
WHERE epoch = $1

-- name: journal_rows
SELECT id, last_row FROM journal

-- name: forget_journals
DELETE FROM journal

-- name: remember_journal
INSERT INTO journal (id, last_row) VALUES ($1, $2)

-- name: find_schema
SELECT id FROM schema WHERE hash = $1

-- name: add_schema
INSERT INTO schema (hash, need, data) VALUES ($1, 1, $2) RETURNING id

-- name: prune_schemas
DELETE FROM schema
WHERE id <= (SELECT max(id) FROM schema) - $1
    AND NOT EXISTS (SELECT 1 FROM block WHERE block.schema = schema.id)

-- name: want_schema
UPDATE schema SET need = 2 WHERE substr(hash, 1, length($1)) = $1

-- name: wish_fulfilled
UPDATE schema SET need = 0 WHERE need = 2

-- name: confirm_schemas
UPDATE schema SET need = 0
WHERE need = 1 AND id IN (SELECT schema FROM block WHERE seq BETWEEN $1 AND $2)

-- name: unsent_schemas
SELECT data FROM schema
WHERE need = 2 OR (need = 1 AND EXISTS (SELECT 1 FROM block WHERE block.schema = schema.id))
ORDER BY id LIMIT $1

-- name: add_block
INSERT INTO block (seq, priority, count, first_ms, last_ms, schema, digest, data, every_ms)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)

-- name: urgent
SELECT seq, priority, length(data), digest FROM block
WHERE priority < 2 AND seq <= (SELECT sealed FROM state) ORDER BY priority, seq LIMIT $1

-- name: oldest
-- Urgent ones, too: a damaged bit may have made any priority of one that no index knows.
SELECT seq, priority, length(data), digest FROM block
WHERE seq <= (SELECT sealed FROM state) ORDER BY seq LIMIT $1

-- name: newest
SELECT seq, priority, length(data), digest FROM block
WHERE seq <= (SELECT sealed FROM state) ORDER BY seq DESC LIMIT $1

-- name: waiting_after
SELECT seq, priority, length(data), digest FROM block
WHERE seq > $1 AND seq <= (SELECT sealed FROM state) ORDER BY seq LIMIT $2

-- name: keep_blocks
INSERT INTO kept (seq, priority, digest, data)
SELECT seq, priority, digest, data FROM block WHERE seq BETWEEN $1 AND $2
ON CONFLICT (seq) DO NOTHING

-- name: forget_safe
DELETE FROM kept WHERE seq < $1

-- name: let_go
DELETE FROM kept WHERE seq IN (SELECT seq FROM kept ORDER BY seq LIMIT $1)

-- name: growing
SELECT seq, digest, data FROM block
WHERE seq > $1 AND priority = 2 AND schema = $2 ORDER BY seq DESC LIMIT 1

-- name: backlog
SELECT coalesce(sum(size), 0)
FROM (SELECT length(data) AS size FROM block ORDER BY seq DESC LIMIT $1)

-- name: read_block
SELECT digest, data FROM block WHERE seq = $1
UNION ALL SELECT digest, data FROM kept WHERE seq = $1 LIMIT 1

-- name: count_blocks
SELECT coalesce(sum(count), 0) FROM block WHERE seq BETWEEN $1 AND $2

-- name: count_all
SELECT coalesce(sum(count), 0) FROM block

-- name: delete_blocks
DELETE FROM block WHERE seq BETWEEN $1 AND $2

-- name: delete_block
DELETE FROM block WHERE seq = $1 RETURNING count, first_ms, last_ms

-- name: least_worth
SELECT seq FROM block WHERE priority >= $1 ORDER BY seq LIMIT 1

-- name: to_thin
SELECT seq, digest, data, schema FROM block
WHERE priority = 2 AND every_ms < 900000 AND every_ms < $1 AND seq <= $2 ORDER BY seq LIMIT 1

-- name: is_thin
UPDATE block SET every_ms = $2 WHERE seq = $1

-- name: newest_open
SELECT seq, digest, data, schema FROM block WHERE seq > $1 ORDER BY seq DESC LIMIT 1

-- name: span
SELECT
    (SELECT first_ms FROM block ORDER BY seq LIMIT 1),
    (SELECT last_ms FROM block ORDER BY seq DESC LIMIT 1)

-- name: set_aside
INSERT INTO quarantine (seq, reason, wall_ms, data)
SELECT seq, $2, $3, data FROM block WHERE seq = $1

-- name: prune_quarantine
DELETE FROM quarantine
WHERE seq NOT IN (SELECT seq FROM quarantine ORDER BY seq DESC LIMIT $1)

-- name: salvage
SELECT coalesce(sum(count), 0), min(first_ms), max(last_ms) FROM block

-- name: newest_loss
SELECT number, reason, estimated FROM loss ORDER BY number DESC LIMIT 1

-- name: add_loss
INSERT INTO loss (number, reason, first_ms, last_ms, count, estimated)
VALUES ($1, $2, $3, $4, $5, $6)

-- name: widen_loss
UPDATE loss SET
    first_ms = min(first_ms, $2), last_ms = max(last_ms, $3), count = count + $4
WHERE number = $1

-- name: losses
SELECT number, reason, first_ms, last_ms, count, estimated FROM loss ORDER BY number LIMIT $1

-- name: keep_losses
INSERT INTO kept_loss SELECT number, reason, first_ms, last_ms, count, estimated
FROM loss WHERE number <= $1
ON CONFLICT DO NOTHING

-- name: forget_losses
DELETE FROM loss WHERE number <= $1

-- name: let_go_losses
DELETE FROM kept_loss WHERE number <= (SELECT max(number) FROM kept_loss) - $1

-- name: tell_losses_again
INSERT INTO loss (number, reason, first_ms, last_ms, count, estimated)
SELECT number, reason, first_ms, last_ms, count, estimated FROM kept_loss WHERE number > $1
ON CONFLICT DO NOTHING

-- name: told_losses_again
DELETE FROM kept_loss WHERE number > $1

-- name: newest_anchor
SELECT boot, mono_ms, wall_ms, err_ms FROM anchor WHERE boot = $1 ORDER BY number DESC LIMIT 1

-- name: forget_told
DELETE FROM anchor WHERE told = 1

-- name: add_anchor
INSERT INTO anchor (boot, mono_ms, wall_ms, err_ms, told) VALUES ($1, $2, $3, $4, 0)

-- name: prune_anchors
DELETE FROM anchor WHERE number NOT IN (SELECT number FROM anchor ORDER BY number DESC LIMIT $1)

-- name: untold_anchors
SELECT boot, mono_ms, wall_ms, err_ms FROM anchor WHERE told = 0 ORDER BY number LIMIT $1

-- name: anchor_told
UPDATE anchor SET told = 1 WHERE boot = $1 AND mono_ms = $2

-- name: urgent_depths
SELECT priority, sum(count), min(first_ms) FROM block
WHERE priority < 2 GROUP BY priority ORDER BY priority

-- name: oldest_routine
SELECT first_ms FROM block WHERE priority >= 2 ORDER BY seq LIMIT 1

-- name: stored
SELECT stored FROM state

-- name: sealed
SELECT sealed FROM state

-- name: blocks_between
SELECT seq, priority, length(data), digest FROM block WHERE seq BETWEEN $1 AND $2
UNION ALL SELECT seq, priority, length(data), digest FROM kept WHERE seq BETWEEN $1 AND $2
ORDER BY seq LIMIT $3
