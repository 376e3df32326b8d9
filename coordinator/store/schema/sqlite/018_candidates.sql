-- Devices that gateways found and nobody attached, by the newest word of each. Times are by the agents'
-- clocks; `lost_ms` is when one was told to answer no more.
CREATE TABLE device_candidate (
    agent_id TEXT NOT NULL REFERENCES agent,
    way TEXT NOT NULL,
    place TEXT NOT NULL,
    vendor TEXT NOT NULL,
    model TEXT NOT NULL,
    firmware TEXT NOT NULL,
    serial TEXT NOT NULL,
    name TEXT NOT NULL,
    before_place TEXT NOT NULL,
    ignored INTEGER NOT NULL,
    first_ms INTEGER NOT NULL,
    seen_ms INTEGER NOT NULL,
    lost_ms INTEGER,
    PRIMARY KEY (agent_id, way, place)
) STRICT, WITHOUT ROWID;
