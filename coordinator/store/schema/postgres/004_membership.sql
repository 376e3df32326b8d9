-- How agents come in without a claim, change their keys, and leave.

-- `next_key` was vouched for by the key in use and replaces it at its first report; `rekey_ms` is
-- an admin's wish for one. `leave_ms`: told to leave; `left_ms`: it said that it did.
ALTER TABLE agent ADD COLUMN next_key BYTEA;
ALTER TABLE agent ADD COLUMN rekey_ms BIGINT;
ALTER TABLE agent ADD COLUMN leave_ms BIGINT;
ALTER TABLE agent ADD COLUMN left_ms BIGINT;
ALTER TABLE agent ADD COLUMN labels_number BIGINT NOT NULL DEFAULT 0;

-- Every key an agent ever had: none is ever given to another, none comes back.
CREATE TABLE agent_key (
    public_key BYTEA PRIMARY KEY,
    agent_id TEXT COLLATE "C" NOT NULL REFERENCES agent,
    since_ms BIGINT NOT NULL
);

INSERT INTO agent_key (public_key, agent_id, since_ms)
SELECT public_key, agent_id, enrolled_ms FROM agent;

-- Keys that a person vouches for by their fingerprint: EXPECTED was registered or accepted before
-- the box came, PENDING came first, REJECTED is kept so that asking again changes nothing.
CREATE TABLE enrolment (
    enrolment_id TEXT COLLATE "C" PRIMARY KEY,
    fingerprint TEXT COLLATE "C" NOT NULL UNIQUE,
    state TEXT COLLATE "C" NOT NULL CHECK (state IN ('EXPECTED', 'PENDING', 'REJECTED')),
    site TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    labels TEXT COLLATE "C" NOT NULL,
    address TEXT COLLATE "C" NOT NULL,
    first_ms BIGINT NOT NULL,
    asked_ms BIGINT
);

CREATE INDEX enrolment_by_state ON enrolment (state, first_ms);
