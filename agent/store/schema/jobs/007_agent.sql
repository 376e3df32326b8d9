-- Restarts that jobs asked for: which process was asked. A step that finds itself in another one
-- has been restarted.
CREATE TABLE restart (
    number INTEGER PRIMARY KEY,
    mark BLOB NOT NULL UNIQUE,
    process BLOB NOT NULL
) STRICT;
