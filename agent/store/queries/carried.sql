-- Reports that left on sticks. `agent.store.carried` says the names.

-- name: carried_reserve
INSERT INTO carried (digest, silent_ms, answered_ms) VALUES (x'', 0, NULL) RETURNING number

-- name: carried_remember
UPDATE carried SET digest = $2, silent_ms = $3, answered_ms = $4, sealed = $5, ledger_to = $6
WHERE number = $1

-- name: carried_prune
DELETE FROM carried WHERE number <= $1

-- name: carried_found
SELECT silent_ms, answered_ms, number = (SELECT max(number) FROM carried), sealed, ledger_to
FROM carried WHERE digest = $1

-- name: carried_heard
UPDATE carried SET silent_ms = silent_ms - $1

-- name: first_receipt
SELECT coalesce(min(number), 0) FROM outbox WHERE number > (SELECT freed_to FROM contact)

-- name: asked
SELECT telemetry_epoch, spans FROM carried_asked

-- name: ask
INSERT INTO carried_asked (one, telemetry_epoch, spans) VALUES (1, $1, $2)
ON CONFLICT (one) DO UPDATE SET
    telemetry_epoch = excluded.telemetry_epoch, spans = excluded.spans
