-- What a return may free is what had a number when the report was made that it answers: an older
-- card that is put back gives the numbers above once more, to other readings.
ALTER TABLE carried ADD COLUMN sealed INTEGER NOT NULL DEFAULT 0;
ALTER TABLE carried ADD COLUMN ledger_to INTEGER NOT NULL DEFAULT 0;
