-- Jobs that run again and again, and what became of each firing.

-- One row for a standing job that is in force. `last_ms`: every nominal time up to it is dealt
-- with. `due_*`: when to look at it next, as in `task`. `firings` numbers its firings.
CREATE TABLE standing (
    execution INTEGER PRIMARY KEY REFERENCES execution (number) ON DELETE CASCADE,
    last_ms INTEGER NOT NULL,
    due_boot BLOB,
    due_mono_ms INTEGER,
    due_today_ms INTEGER,
    due_delay_ms INTEGER,
    firings INTEGER NOT NULL DEFAULT 0,
    -- Firings up to this number are called off at their next safe point.
    cancel_to INTEGER NOT NULL DEFAULT 0
) STRICT;

-- What a rule remembers about one device: a packed `agent.core.rules.RuleMemory`.
CREATE TABLE rule_memory (
    execution INTEGER NOT NULL REFERENCES execution (number) ON DELETE CASCADE,
    device TEXT NOT NULL,
    memory BLOB NOT NULL,
    PRIMARY KEY (execution, device)
) STRICT, WITHOUT ROWID;

-- Nominal times that fired: none fires twice, whatever the clock does.
CREATE TABLE fired (
    execution INTEGER NOT NULL REFERENCES execution (number) ON DELETE CASCADE,
    nominal_ms INTEGER NOT NULL,
    number INTEGER NOT NULL,
    PRIMARY KEY (execution, nominal_ms)
) STRICT, WITHOUT ROWID;

-- How firings ended, until a report carries it; several in a row that ended alike are one row.
CREATE TABLE tale (
    number INTEGER PRIMARY KEY,
    execution INTEGER NOT NULL REFERENCES execution (number) ON DELETE CASCADE,
    device TEXT NOT NULL,
    state INTEGER NOT NULL,
    reason INTEGER NOT NULL,
    first_ms INTEGER NOT NULL,
    last_ms INTEGER NOT NULL,
    count INTEGER NOT NULL,
    wall_ms INTEGER NOT NULL,
    detail TEXT NOT NULL,
    result BLOB NOT NULL
) STRICT;

CREATE INDEX tale_newest ON tale (execution, device, number);
