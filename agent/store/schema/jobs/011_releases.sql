-- The catalog's release of what a device confirmed last, by the image (a device may have several
-- processors) and by the class of its profile. A lower one goes in only where it is allowed.
CREATE TABLE firmware_release (
    -- In the order in which they were noted.
    number INTEGER PRIMARY KEY,
    device TEXT NOT NULL,
    image INTEGER NOT NULL,
    class TEXT NOT NULL,
    release INTEGER NOT NULL,
    UNIQUE (device, image, class)
) STRICT;
