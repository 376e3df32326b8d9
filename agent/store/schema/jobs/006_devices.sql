-- What the agent remembers about its devices between steps of jobs.

-- Values that were written for a while: what to put back, on which point, and when. Written before
-- the value itself, so that whatever happens then, the former one comes back. One row for a point:
-- a further temporary value keeps the oldest former one.
CREATE TABLE temporary (
    device TEXT NOT NULL,
    point TEXT NOT NULL,
    -- Packed value by its point.
    former BLOB NOT NULL,
    execution INTEGER NOT NULL REFERENCES execution (number),
    firing INTEGER NOT NULL,
    due_boot BLOB NOT NULL,
    due_mono_ms INTEGER NOT NULL,
    due_today_ms INTEGER NOT NULL,
    due_delay_ms INTEGER NOT NULL,
    -- How often it could not be put back.
    tries INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (device, point)
) STRICT, WITHOUT ROWID;

CREATE INDEX temporary_due ON temporary (due_mono_ms);
CREATE INDEX temporary_execution ON temporary (execution);

-- Configurations as they were read, by a name that a person gave or by the step that read them.
CREATE TABLE config_kept (
    number INTEGER PRIMARY KEY,
    device TEXT NOT NULL,
    name TEXT NOT NULL,
    -- Whose it is: a repeated attempt keeps what the first one read.
    owner BLOB NOT NULL,
    -- Packed values by point.
    body BLOB NOT NULL,
    UNIQUE (device, name)
) STRICT;

-- When a point that wears out was written last, and may be again.
CREATE TABLE written (
    device TEXT NOT NULL,
    point TEXT NOT NULL,
    due_boot BLOB NOT NULL,
    due_mono_ms INTEGER NOT NULL,
    due_today_ms INTEGER NOT NULL,
    due_delay_ms INTEGER NOT NULL,
    PRIMARY KEY (device, point)
) STRICT, WITHOUT ROWID;
