-- How far apart a block's rows are at least since it was thinned to make room; 0: as measured.
ALTER TABLE block ADD COLUMN every_ms INTEGER NOT NULL DEFAULT 0;

CREATE INDEX block_to_thin ON block (seq) WHERE priority = 2 AND every_ms < 900000;
