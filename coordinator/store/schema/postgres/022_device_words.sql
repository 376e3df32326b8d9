-- What devices are, by their newest word, where jobs are aimed at them by it.
ALTER TABLE device_facts ADD COLUMN kind TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE device_facts ADD COLUMN profile TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE device_facts ADD COLUMN vendor TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE device_facts ADD COLUMN model TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE device_facts ADD COLUMN firmware TEXT COLLATE "C" NOT NULL DEFAULT '';
