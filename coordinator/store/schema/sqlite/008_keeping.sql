-- What is kept for how long, and how much of an agent is taken in.

-- Settings that differ from the defaults of `coordinator.core.retention`; 0 is "without end".
CREATE TABLE keeping (
    name TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Blocks stored now, by priority; kept by triggers, so that nobody has to count the blocks.
CREATE TABLE block_total (
    priority INTEGER PRIMARY KEY,
    blocks INTEGER NOT NULL,
    bytes INTEGER NOT NULL
) STRICT;

INSERT INTO block_total (priority, blocks, bytes)
SELECT priority, count(*), sum(length(data)) FROM block GROUP BY priority;

CREATE TRIGGER block_total_grows AFTER INSERT ON block
BEGIN
    INSERT INTO block_total (priority, blocks, bytes) VALUES (NEW.priority, 1, length(NEW.data))
    ON CONFLICT (priority) DO UPDATE SET
        blocks = block_total.blocks + 1, bytes = block_total.bytes + excluded.bytes;
END;

CREATE TRIGGER block_total_shrinks AFTER DELETE ON block
BEGIN
    UPDATE block_total SET blocks = blocks - 1, bytes = bytes - length(OLD.data)
    WHERE priority = OLD.priority;
END;

-- Single readings of an agent before this moment are not all there any more, so its minutes and
-- hours before it stay as they are.
CREATE TABLE raw_gone (
    agent_id TEXT PRIMARY KEY REFERENCES agent,
    before_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Bytes of blocks taken in of an agent on its newest day (days since 1970, UTC).
CREATE TABLE intake_day (
    agent_id TEXT PRIMARY KEY REFERENCES agent,
    day INTEGER NOT NULL,
    bytes INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
