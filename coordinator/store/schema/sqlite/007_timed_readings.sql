-- Readings in true time: what each block says of its own clock, where that was placed, and the
-- anchors that place whole boots. `first_ms` and `last_ms` of a block are placed times from here on:
-- the block's own plus `shift_ms`.
ALTER TABLE block ADD COLUMN boot BLOB NOT NULL DEFAULT x'';
ALTER TABLE block ADD COLUMN mono_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE block ADD COLUMN wall_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE block ADD COLUMN clock_state INTEGER NOT NULL DEFAULT 2;
ALTER TABLE block ADD COLUMN clock_err_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE block ADD COLUMN shift_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE block ADD COLUMN sureness INTEGER NOT NULL DEFAULT 3;
ALTER TABLE block ADD COLUMN err_ms INTEGER NOT NULL DEFAULT 0;
-- 1: its rows lie further apart than most; found by an index of its own.
ALTER TABLE block ADD COLUMN is_long INTEGER NOT NULL DEFAULT 0;

DROP INDEX block_by_agent_and_time;
DROP INDEX block_by_time;
CREATE INDEX block_by_end ON block (agent_id, last_ms, epoch, seq, first_ms);
CREATE INDEX block_by_end_of_all ON block (last_ms, agent_id, epoch, seq, first_ms);
CREATE INDEX block_by_start ON block (agent_id, is_long, first_ms, epoch, seq, last_ms);
CREATE INDEX block_long ON block (first_ms, last_ms) WHERE is_long = 1;
CREATE INDEX block_by_boot ON block (agent_id, boot, epoch, seq);
CREATE INDEX block_by_age ON block (priority, last_ms);

-- True time for a boot: at `mono_ms` of it, it was `wall_ms`, give or take `err_ms`. `is_own`: by
-- the agent's own synced clock, not by the word of a coordinator.
CREATE TABLE anchor (
    agent_id TEXT NOT NULL REFERENCES agent,
    boot BLOB NOT NULL,
    mono_ms INTEGER NOT NULL,
    wall_ms INTEGER NOT NULL,
    err_ms INTEGER NOT NULL,
    is_own INTEGER NOT NULL,
    received_ms INTEGER NOT NULL,
    PRIMARY KEY (agent_id, boot, mono_ms)
) STRICT, WITHOUT ROWID;

-- The boots of an agent in the order of their arrival. `latest_offset_ms`: wall minus mono can be
-- no more than this, because something of the boot had arrived by then.
CREATE TABLE boot (
    agent_id TEXT NOT NULL REFERENCES agent,
    boot BLOB NOT NULL,
    ordinal INTEGER NOT NULL,
    latest_offset_ms INTEGER NOT NULL,
    PRIMARY KEY (agent_id, boot)
) STRICT, WITHOUT ROWID;

-- Boots of which more is known than their stored blocks were placed by: a walk through the blocks
-- of each, which stands behind (epoch, seq). `mark` grows whenever the walk begins again.
CREATE TABLE retime (
    agent_id TEXT NOT NULL REFERENCES agent,
    boot BLOB NOT NULL,
    epoch BLOB NOT NULL,
    seq INTEGER NOT NULL,
    mark INTEGER NOT NULL,
    PRIMARY KEY (agent_id, boot)
) STRICT, WITHOUT ROWID;

-- --- rollups --------------------------------------------------------------------------------
-- A measured thing of an agent under a short number.
CREATE TABLE channel (
    agent_id TEXT NOT NULL REFERENCES agent,
    number INTEGER NOT NULL,
    device TEXT NOT NULL,
    point TEXT NOT NULL,
    unit TEXT NOT NULL,
    kind TEXT NOT NULL,
    PRIMARY KEY (agent_id, number),
    UNIQUE (agent_id, device, point, unit, kind)
) STRICT, WITHOUT ROWID;

-- Buckets of `width_s` seconds of one channel, an hour of minutes or a day of hours to a row.
CREATE TABLE rollup (
    agent_id TEXT NOT NULL REFERENCES agent,
    channel INTEGER NOT NULL,
    width_s INTEGER NOT NULL,
    start_ms INTEGER NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (agent_id, channel, width_s, start_ms)
) STRICT;

CREATE INDEX rollup_by_age ON rollup (width_s, start_ms);

-- Minutes to compute again: those that this block touches when it is shifted by `shift_ms`.
-- `waits`: 1 while its channel list is unknown.
CREATE TABLE rollup_due (
    number INTEGER PRIMARY KEY,
    agent_id TEXT NOT NULL REFERENCES agent,
    epoch BLOB NOT NULL,
    seq INTEGER NOT NULL,
    shift_ms INTEGER NOT NULL,
    since_ms INTEGER NOT NULL,
    waits INTEGER NOT NULL
) STRICT;

CREATE INDEX rollup_due_first ON rollup_due (waits, number);
CREATE INDEX rollup_due_of_agent ON rollup_due (agent_id, waits, number);
CREATE INDEX rollup_due_of_block ON rollup_due (agent_id, epoch, seq);
