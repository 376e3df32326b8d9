-- True time of boots, kept until a coordinator has it. The newest of the running boot stays after
-- that, so that a process that starts again tells nothing twice.
CREATE TABLE anchor (
    number INTEGER PRIMARY KEY,
    boot BLOB NOT NULL CHECK (length(boot) = 16),
    mono_ms INTEGER NOT NULL,
    wall_ms INTEGER NOT NULL,
    err_ms INTEGER NOT NULL,
    told INTEGER NOT NULL CHECK (told IN (0, 1))
) STRICT;
