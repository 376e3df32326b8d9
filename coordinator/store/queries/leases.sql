-- Leases: times are the database's own, so that clocks of processes do not matter.

-- name: lease_take
INSERT INTO lease (name, holder, until_ms) SELECT $1, $2, now_ms + $3 FROM database_clock WHERE 1 = 1
ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until_ms = excluded.until_ms
WHERE lease.until_ms <= (SELECT now_ms FROM database_clock)
RETURNING name;

-- name: lease_renew
UPDATE lease SET until_ms = (SELECT now_ms FROM database_clock) + $3
WHERE name = $1 AND holder = $2 RETURNING name;

-- name: lease_release
DELETE FROM lease WHERE name = $1 AND holder = $2;
