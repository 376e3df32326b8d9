-- Files that jobs name by their content. The bytes lie in a folder; a row without `completed_ms` is
-- an upload that has not ended. `image` is what the file says of itself, as JSON; empty: nothing.
CREATE TABLE artifact (
    digest BLOB PRIMARY KEY CHECK (length(digest) = 32),
    size INTEGER NOT NULL,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    labels TEXT NOT NULL,
    image TEXT NOT NULL DEFAULT '',
    created_ms INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    completed_ms INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE job_artifact (
    job_id BLOB NOT NULL REFERENCES job,
    digest BLOB NOT NULL,
    PRIMARY KEY (job_id, digest)
) STRICT, WITHOUT ROWID;

CREATE INDEX job_artifact_by_digest ON job_artifact (digest, job_id);
