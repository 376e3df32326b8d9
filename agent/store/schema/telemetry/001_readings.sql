-- Readings until a coordinator has acknowledged them, and the account of those that it never will.

-- One row: whose file this is, and the account. sampled = suppressed + delivered + stored + lost.
CREATE TABLE state (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    epoch BLOB NOT NULL CHECK (length(epoch) = 16),
    -- Numbers are never given twice, also not after the row that had one is gone.
    next_block INTEGER NOT NULL CHECK (next_block >= 1),
    -- Blocks up to this number are immutable; the one after them, if it is here, still grows.
    sealed INTEGER NOT NULL CHECK (sealed < next_block),
    next_loss INTEGER NOT NULL CHECK (next_loss >= 1),
    sampled INTEGER NOT NULL CHECK (sampled >= 0),
    suppressed INTEGER NOT NULL CHECK (suppressed >= 0),
    delivered INTEGER NOT NULL CHECK (delivered >= 0),
    stored INTEGER NOT NULL CHECK (stored >= 0),
    lost INTEGER NOT NULL CHECK (lost >= 0),
    -- The journal that holds what comes next, and the last of its rows that is in here.
    journal BLOB NOT NULL,
    last_row INTEGER NOT NULL,
    clean INTEGER NOT NULL CHECK (clean IN (0, 1)),
    -- When everything recorded was last in here, on which boot; what a lost interval would hold.
    boot BLOB NOT NULL,
    wall_ms INTEGER NOT NULL,
    mono_ms INTEGER NOT NULL,
    interval_ms INTEGER NOT NULL,
    per_day INTEGER NOT NULL,
    -- Grows with every commit: SQLite does not write, nor sync, a row that stays the same.
    commits INTEGER NOT NULL,
    CHECK (sampled = suppressed + delivered + stored + lost)
) STRICT;

-- Journals of earlier processes that are in here as far as `last_row`; their files are about to go.
CREATE TABLE journal (
    id BLOB PRIMARY KEY,
    last_row INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE schema (
    id INTEGER PRIMARY KEY,
    hash BLOB NOT NULL UNIQUE,
    -- 0 the coordinator has it, 1 nothing says so yet, 2 it asked for it.
    need INTEGER NOT NULL CHECK (need IN (0, 1, 2)),
    data BLOB NOT NULL
) STRICT;

CREATE TABLE block (
    seq INTEGER PRIMARY KEY,
    priority INTEGER NOT NULL CHECK (priority BETWEEN 0 AND 2),
    count INTEGER NOT NULL,
    first_ms INTEGER NOT NULL,
    last_ms INTEGER NOT NULL,
    schema INTEGER NOT NULL REFERENCES schema (id),
    digest BLOB NOT NULL CHECK (length(digest) = 16),
    -- Last, so that a look at the other columns never reads its overflow pages.
    data BLOB NOT NULL
) STRICT;

-- Routine blocks are not in it: it costs them nothing.
CREATE INDEX block_urgent ON block (priority, seq) WHERE priority < 2;

CREATE TABLE loss (
    number INTEGER PRIMARY KEY,
    reason INTEGER NOT NULL,
    first_ms INTEGER NOT NULL,
    last_ms INTEGER NOT NULL,
    count INTEGER NOT NULL CHECK (count > 0),
    estimated INTEGER NOT NULL CHECK (estimated IN (0, 1))
) STRICT;

-- Blocks that the coordinator will never accept, for a later look; their loss is in the ledger.
CREATE TABLE quarantine (
    seq INTEGER PRIMARY KEY,
    reason INTEGER NOT NULL,
    wall_ms INTEGER NOT NULL,
    data BLOB NOT NULL
) STRICT;
