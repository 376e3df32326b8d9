-- A coordinator that comes back from a copy is told again what it heard since. Receipts up to
-- `freed_to` are acknowledged; the newest of them stay in the outbox. `heard_epoch` is the highest
-- restore epoch whose coordinator was told.
ALTER TABLE contact ADD COLUMN freed_to INTEGER NOT NULL DEFAULT 0;
ALTER TABLE contact ADD COLUMN heard_epoch INTEGER NOT NULL DEFAULT 0;
