-- Each device beside what is wished of it, by the newest word of its gateway: one row for each wish.

-- `wish`: 'identity', 'firmware', or the job and step that compare; `desired` is the hash or version of
-- what is wished by job `by_job`. `misses` is how many things are otherwise, `reported` says which, as
-- JSON. `since_ms` is when it was first told so without a break, null: it is as wished. `at_ms` and
-- `since_ms` are by the agent's clock, `noted_ms` (when it last began or ended to differ) and
-- `received_ms` by the coordinator's. `mended_by` is the job that wrote to the device before it was as
-- wished again, null: nobody is known to. A job may be gone that is named here.
CREATE TABLE device_wish (
    agent_id TEXT NOT NULL REFERENCES agent,
    device TEXT NOT NULL,
    wish TEXT NOT NULL,
    desired TEXT NOT NULL,
    by_job BLOB NOT NULL,
    misses INTEGER NOT NULL,
    reported TEXT NOT NULL,
    since_ms INTEGER,
    at_ms INTEGER NOT NULL,
    noted_ms INTEGER NOT NULL,
    received_ms INTEGER NOT NULL,
    mended_ms INTEGER,
    mended_by BLOB,
    PRIMARY KEY (agent_id, device, wish)
) STRICT, WITHOUT ROWID;

CREATE INDEX device_wish_by_age ON device_wish (received_ms);
