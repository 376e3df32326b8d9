-- Runs of nominal times that fired, packed [first, last] pairs: `fired` keeps only the newest ones.
ALTER TABLE standing ADD COLUMN runs BLOB NOT NULL DEFAULT x'90';
