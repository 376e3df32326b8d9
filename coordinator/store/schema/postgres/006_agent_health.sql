-- How a box said it was, newest only: numbers in the order of `shared.model.health`, as JSON.
CREATE TABLE agent_health (
    agent_id TEXT COLLATE "C" PRIMARY KEY REFERENCES agent,
    numbers TEXT COLLATE "C" NOT NULL,
    at_ms BIGINT NOT NULL
);
