-- What agents tell of themselves and of their devices when a job asks.

-- Support bundles, the newest few of each agent, in the pieces that it signed.
CREATE TABLE support_bundle (
    agent_id TEXT COLLATE "C" NOT NULL REFERENCES agent,
    sha256 BYTEA NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    size BIGINT NOT NULL,
    parts BIGINT NOT NULL,
    at_ms BIGINT NOT NULL,
    PRIMARY KEY (agent_id, sha256)
);

CREATE TABLE support_piece (
    agent_id TEXT COLLATE "C" NOT NULL,
    sha256 BYTEA NOT NULL,
    number BIGINT NOT NULL,
    data BYTEA NOT NULL,
    PRIMARY KEY (agent_id, sha256, number),
    FOREIGN KEY (agent_id, sha256) REFERENCES support_bundle
);

-- What a device said of itself when a `device.sync` last asked: names and values, as JSON. `at_ms` is
-- by the agent's clock.
CREATE TABLE device_facts (
    agent_id TEXT COLLATE "C" NOT NULL REFERENCES agent,
    device TEXT COLLATE "C" NOT NULL,
    facts TEXT COLLATE "C" NOT NULL,
    drifted BIGINT NOT NULL,
    at_ms BIGINT NOT NULL,
    PRIMARY KEY (agent_id, device)
);
