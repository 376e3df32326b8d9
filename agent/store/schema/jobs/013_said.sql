-- What each device said of itself when it was asked last; jobs that choose devices by it ask again.
CREATE TABLE device_said (
    -- In the order in which they first spoke.
    number INTEGER PRIMARY KEY,
    device TEXT NOT NULL UNIQUE,
    vendor TEXT NOT NULL,
    model TEXT NOT NULL,
    firmware TEXT NOT NULL
) STRICT;
