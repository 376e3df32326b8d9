-- How agents come in without a claim, change their keys, and leave.

-- `next_key` was vouched for by the key in use and replaces it at its first report; `rekey_ms` is
-- an admin's wish for one. `leave_ms`: told to leave; `left_ms`: it said that it did.
ALTER TABLE agent ADD COLUMN next_key BLOB;
ALTER TABLE agent ADD COLUMN rekey_ms INTEGER;
ALTER TABLE agent ADD COLUMN leave_ms INTEGER;
ALTER TABLE agent ADD COLUMN left_ms INTEGER;
ALTER TABLE agent ADD COLUMN labels_number INTEGER NOT NULL DEFAULT 0;

-- Every key an agent ever had: none is ever given to another, none comes back.
CREATE TABLE agent_key (
    public_key BLOB PRIMARY KEY,
    agent_id TEXT NOT NULL REFERENCES agent,
    since_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO agent_key (public_key, agent_id, since_ms)
SELECT public_key, agent_id, enrolled_ms FROM agent;

-- Keys that a person vouches for by their fingerprint: EXPECTED was registered or accepted before
-- the box came, PENDING came first, REJECTED is kept so that asking again changes nothing.
CREATE TABLE enrolment (
    enrolment_id TEXT PRIMARY KEY,
    fingerprint TEXT NOT NULL UNIQUE,
    state TEXT NOT NULL CHECK (state IN ('EXPECTED', 'PENDING', 'REJECTED')),
    site TEXT NOT NULL,
    name TEXT NOT NULL,
    labels TEXT NOT NULL,
    address TEXT NOT NULL,
    first_ms INTEGER NOT NULL,
    asked_ms INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX enrolment_by_state ON enrolment (state, first_ms);
