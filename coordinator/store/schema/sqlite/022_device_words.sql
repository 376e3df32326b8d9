-- What devices are, by their newest word, where jobs are aimed at them by it.
ALTER TABLE device_facts ADD COLUMN kind TEXT NOT NULL DEFAULT '';
ALTER TABLE device_facts ADD COLUMN profile TEXT NOT NULL DEFAULT '';
ALTER TABLE device_facts ADD COLUMN vendor TEXT NOT NULL DEFAULT '';
ALTER TABLE device_facts ADD COLUMN model TEXT NOT NULL DEFAULT '';
ALTER TABLE device_facts ADD COLUMN firmware TEXT NOT NULL DEFAULT '';
