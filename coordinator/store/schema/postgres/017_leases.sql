-- Work that one process of several does: who has it, and until when by the database's own clock.

CREATE TABLE lease (
    name TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    holder BYTEA NOT NULL,
    until_ms BIGINT NOT NULL
);

CREATE VIEW database_clock AS
SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT) AS now_ms;
