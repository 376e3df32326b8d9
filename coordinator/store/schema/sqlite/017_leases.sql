-- Work that one process of several does: who has it, and until when by the database's own clock.

CREATE TABLE lease (
    name TEXT NOT NULL PRIMARY KEY,
    holder BLOB NOT NULL,
    until_ms INTEGER NOT NULL
) STRICT;

CREATE VIEW database_clock AS
SELECT CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER) AS now_ms;
