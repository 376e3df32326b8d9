-- Rows of the loss ledger that a coordinator has: one that comes back from a copy may lack them.
CREATE TABLE kept_loss (
    number INTEGER PRIMARY KEY,
    reason INTEGER NOT NULL,
    first_ms INTEGER NOT NULL,
    last_ms INTEGER NOT NULL,
    count INTEGER NOT NULL,
    estimated INTEGER NOT NULL
) STRICT;
