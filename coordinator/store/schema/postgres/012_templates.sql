-- What jobs were made from, what they replace, and templates to make them from.

-- `origin`: 'template:NAME@2', 'retry:JOB', 'clone:JOB', 'trigger:NAME', or empty.
ALTER TABLE job ADD COLUMN origin TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE job ADD COLUMN conflict_key TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE job ADD COLUMN after_job BYTEA;

CREATE INDEX job_rivals ON job (conflict_key, job_id) WHERE conflict_key <> '';
CREATE INDEX job_after ON job (after_job) WHERE after_job IS NOT NULL;

-- Every version stays; one whose document is empty says that the template was deleted.
CREATE TABLE template (
    name TEXT COLLATE "C" NOT NULL,
    version BIGINT NOT NULL,
    document TEXT COLLATE "C" NOT NULL,
    saved_ms BIGINT NOT NULL,
    saved_by TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (name, version)
);
