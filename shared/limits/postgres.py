"""Bounds of the coordinator's databases."""

POSTGRES_WRITERS = 8
"""Connections of one process that write; more of them only repeat each other's transactions."""
POSTGRES_READERS = 4
"""Connections of one process that only read: an export never stands before an agent's commit."""
POSTGRES_TRIES = 3
"""Attempts at a transaction beside others; the next one runs alone, so that it comes to an end."""
POSTGRES_TRIES_ALONE = 3
"""Attempts alone: what fails then is no conflict any more."""
POSTGRES_CONNECT_S = 5
"""Until a connection stands; a server of the same site answers within milliseconds."""
POSTGRES_STATEMENT_S = 30
"""Of one statement, and of a transaction that stands still: a replica that was cut off lets go."""
POSTGRES_LOCK_S = 10
"""Wait for another transaction's lock before the statement is given up."""
POSTGRES_MIGRATE_S = 60
"""Wait of a schema's step for the tables it changes, and for a replica that takes the same step."""
POSTGRES_UNSURE_S = 10
"""Asking whether a commit was done whose answer was lost; then the caller is told that it is
unknown."""
POSTGRES_MONTHS_AHEAD = 2
"""Partitions made ahead of the present month: a coordinator may stand still over a holiday."""
POSTGRES_PARTITION_LOCK_MS = 500
"""Wait for the table of blocks as a whole: contacts wait behind it meanwhile."""
MIGRATION_COPIES = 2
"""Copies of SQLite's file from before its schema was changed; each is as large as the database."""
POSTGRES_GROUP = 32
"""Contacts in one transaction: who meets another's work makes all of them run by themselves."""
POSTGRES_GROUPS = 1
"""Of them at a time in one process: what comes meanwhile is the next one, the larger the busier."""
POSTGRES_GROUP_LOCK_MS = 250
"""Wait of a group for somebody else's lock; then only those wait on who need it."""
POSTGRES_APART_RUNS = 8
"""Contacts of an agent that run by themselves after one of them ended a group."""
POSTGRES_APART_AGENTS = 1_024
"""Such agents that are remembered; a forgotten one ends one more group."""
