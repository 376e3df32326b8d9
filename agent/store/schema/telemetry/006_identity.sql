-- Whose readings these are, once more and on a page of its own: an epoch that damage altered would
-- bring everything that is stored a second time, as another store's.
CREATE TABLE identity (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    epoch BLOB NOT NULL CHECK (length(epoch) = 16),
    crc INTEGER NOT NULL
) STRICT;
