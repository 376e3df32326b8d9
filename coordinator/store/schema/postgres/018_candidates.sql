-- Devices that gateways found and nobody attached, by the newest word of each. Times are by the agents'
-- clocks; `lost_ms` is when one was told to answer no more.
CREATE TABLE device_candidate (
    agent_id TEXT COLLATE "C" NOT NULL REFERENCES agent,
    way TEXT COLLATE "C" NOT NULL,
    place TEXT COLLATE "C" NOT NULL,
    vendor TEXT COLLATE "C" NOT NULL,
    model TEXT COLLATE "C" NOT NULL,
    firmware TEXT COLLATE "C" NOT NULL,
    serial TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    before_place TEXT COLLATE "C" NOT NULL,
    ignored BIGINT NOT NULL,
    first_ms BIGINT NOT NULL,
    seen_ms BIGINT NOT NULL,
    lost_ms BIGINT,
    PRIMARY KEY (agent_id, way, place)
);
