-- How a box said it was, newest only: numbers in the order of `shared.model.health`, as JSON.
CREATE TABLE agent_health (
    agent_id TEXT PRIMARY KEY REFERENCES agent,
    numbers TEXT NOT NULL,
    at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
