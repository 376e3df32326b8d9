-- Files that jobs name by their content. The bytes lie in a folder; a row without `completed_ms` is
-- an upload that has not ended. `image` is what the file says of itself, as JSON; empty: nothing.
CREATE TABLE artifact (
    digest BYTEA PRIMARY KEY CHECK (length(digest) = 32),
    size BIGINT NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    version TEXT COLLATE "C" NOT NULL,
    labels TEXT COLLATE "C" NOT NULL,
    image TEXT COLLATE "C" NOT NULL DEFAULT '',
    created_ms BIGINT NOT NULL,
    created_by TEXT COLLATE "C" NOT NULL,
    completed_ms BIGINT
);

CREATE TABLE job_artifact (
    job_id BYTEA NOT NULL REFERENCES job,
    digest BYTEA NOT NULL,
    PRIMARY KEY (job_id, digest)
);

CREATE INDEX job_artifact_by_digest ON job_artifact (digest, job_id);
