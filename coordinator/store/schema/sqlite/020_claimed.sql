-- The attached device that a candidate says it is, while something speaks against it; else empty.
ALTER TABLE device_candidate ADD COLUMN device TEXT NOT NULL DEFAULT '';
