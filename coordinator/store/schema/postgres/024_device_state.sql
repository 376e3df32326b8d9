-- Devices that do not answer or take firmware, as their gateway said last: one row for each.

-- `silent_since_ms`: when it last answered, null: it does. `image_permille`: how much it has of an
-- image, null: none is on its way. All times are by the agent's clock where that can be trusted.
CREATE TABLE device_state (
    agent_id TEXT COLLATE "C" NOT NULL REFERENCES agent,
    device TEXT COLLATE "C" NOT NULL,
    silent_since_ms BIGINT,
    image_permille BIGINT,
    at_ms BIGINT NOT NULL,
    PRIMARY KEY (agent_id, device)
);
