-- What is kept for how long, and how much of an agent is taken in.

-- Settings that differ from the defaults of `coordinator.core.retention`; 0 is "without end".
CREATE TABLE keeping (
    name TEXT COLLATE "C" PRIMARY KEY,
    value BIGINT NOT NULL
);

-- Blocks stored now, by priority: what was added and taken away, to be summed up. A row for each
-- priority, as SQLite has, would stop every contact that brings blocks while another one does.
CREATE TABLE block_total (
    priority BIGINT NOT NULL,
    blocks BIGINT NOT NULL,
    bytes BIGINT NOT NULL
);

INSERT INTO block_total (priority, blocks, bytes)
SELECT priority, count(*), sum(length(data)) FROM block GROUP BY priority;

CREATE FUNCTION block_total_grows() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO block_total (priority, blocks, bytes)
    SELECT priority, count(*), sum(length(data)) FROM added GROUP BY priority;
    RETURN NULL;
END $$;

CREATE TRIGGER block_total_grows AFTER INSERT ON block
REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION block_total_grows();

CREATE FUNCTION block_total_shrinks() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO block_total (priority, blocks, bytes)
    SELECT priority, -count(*), -sum(length(data)) FROM taken GROUP BY priority;
    RETURN NULL;
END $$;

CREATE TRIGGER block_total_shrinks AFTER DELETE ON block
REFERENCING OLD TABLE AS taken FOR EACH STATEMENT EXECUTE FUNCTION block_total_shrinks();

-- Single readings of an agent before this moment are not all there any more, so its minutes and
-- hours before it stay as they are.
CREATE TABLE raw_gone (
    agent_id TEXT COLLATE "C" PRIMARY KEY REFERENCES agent,
    before_ms BIGINT NOT NULL
);

-- Bytes of blocks taken in of an agent on its newest day (days since 1970, UTC).
CREATE TABLE intake_day (
    agent_id TEXT COLLATE "C" PRIMARY KEY REFERENCES agent,
    day BIGINT NOT NULL,
    bytes BIGINT NOT NULL
);
