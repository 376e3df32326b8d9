-- What agents tell of themselves and of their devices when a job asks.

-- Support bundles, the newest few of each agent, in the pieces that it signed.
CREATE TABLE support_bundle (
    agent_id TEXT NOT NULL REFERENCES agent,
    sha256 BLOB NOT NULL,
    name TEXT NOT NULL,
    size INTEGER NOT NULL,
    parts INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    PRIMARY KEY (agent_id, sha256)
) STRICT, WITHOUT ROWID;

CREATE TABLE support_piece (
    agent_id TEXT NOT NULL,
    sha256 BLOB NOT NULL,
    number INTEGER NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (agent_id, sha256, number),
    FOREIGN KEY (agent_id, sha256) REFERENCES support_bundle
) STRICT, WITHOUT ROWID;

-- What a device said of itself when a `device.sync` last asked: names and values, as JSON. `at_ms` is
-- by the agent's clock.
CREATE TABLE device_facts (
    agent_id TEXT NOT NULL REFERENCES agent,
    device TEXT NOT NULL,
    facts TEXT NOT NULL,
    drifted INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    PRIMARY KEY (agent_id, device)
) STRICT, WITHOUT ROWID;
