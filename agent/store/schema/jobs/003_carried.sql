-- Reports that left on sticks: an answer on a stick that names one was given after it was made.
CREATE TABLE carried (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    digest BLOB NOT NULL,
    -- Powered time without word from the coordinator when it was made; below zero once a later
    -- word is known of.
    silent_ms INTEGER NOT NULL,
    -- The newest answer over the link when it was made: a later one makes this row worthless.
    answered_ms INTEGER
) STRICT;

-- Packed ranges of blocks that the newest stick asked for again, of one telemetry store.
CREATE TABLE carried_asked (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    telemetry_epoch BLOB NOT NULL,
    spans BLOB NOT NULL
) STRICT;
