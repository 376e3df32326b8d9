-- Delivered blocks that no backup of the coordinator is known to hold: it may have to ask again.
-- They are neither stored nor waiting in the account, and the first to go when room is needed.
CREATE TABLE kept (
    seq INTEGER PRIMARY KEY,
    priority INTEGER NOT NULL,
    digest BLOB NOT NULL,
    data BLOB NOT NULL
) STRICT;
