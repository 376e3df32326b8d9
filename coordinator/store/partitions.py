"""The months that PostgreSQL's table of blocks is made of, and its totals.

A month of arrival is a partition: made ahead, and dropped whole once nothing in it is kept any
longer, which writes as much for a million blocks as for one. What a deletion row by row would have
told (`block_total`, `raw_gone`) is told at once; for that the rows are counted while contacts wait,
a second or two for a million. Leaves out what is over its time but shares a month with what is not:
retention takes that row by row (`coordinator.transactions.retention`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import asyncpg

from coordinator.core.retention import keeping_of
from shared import limits
from shared.clock import WallMs
from shared.runtime.logs import Events

_PREFIX = "block_month_"
_MONTHS = """
SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = 'block'::regclass AND starts_with(c.relname, $1) ORDER BY c.relname
"""
# Whoever waits for a whole table lets everybody else wait behind it: not for long.
_PATIENCE = f"SET LOCAL lock_timeout = '{limits.POSTGRES_PARTITION_LOCK_MS}ms'"
_IS_OVER = """
SELECT NOT EXISTS (
    SELECT 1 FROM {month}
    WHERE last_ms >= CASE priority WHEN 0 THEN CAST($1 AS BIGINT) WHEN 1 THEN CAST($2 AS BIGINT)
        ELSE CAST($3 AS BIGINT) END
) AND NOT EXISTS (
    SELECT 1 FROM rollup_due d JOIN {month} b USING (agent_id, epoch, seq) WHERE d.waits = 0
)
"""
_TELL_AGENTS = """
INSERT INTO raw_gone (agent_id, before_ms)
SELECT agent_id, max(last_ms) + 1 FROM {month} GROUP BY agent_id
ON CONFLICT (agent_id) DO UPDATE SET before_ms = excluded.before_ms
WHERE excluded.before_ms > raw_gone.before_ms
"""
_TELL_TOTALS = """
INSERT INTO block_total (priority, blocks, bytes)
SELECT priority, -count(*), -sum(length(data)) FROM {month} GROUP BY priority
RETURNING priority, -blocks
"""
_FOLD = """
WITH changes AS (DELETE FROM block_total RETURNING priority, blocks, bytes)
INSERT INTO block_total (priority, blocks, bytes)
SELECT priority, sum(blocks), sum(bytes) FROM changes GROUP BY priority HAVING sum(blocks) <> 0
"""

_log = Events(__name__)


@dataclass(frozen=True, slots=True)
class Month:
    """One month of arrival, UTC."""

    year: int
    number: int

    @classmethod
    def of(cls, at_ms: WallMs) -> "Month":
        """Return the month that a moment is in."""
        moment = datetime.fromtimestamp(at_ms / 1000, UTC)
        return cls(moment.year, moment.month)

    @property
    def name(self) -> str:
        """Return the name of its table."""
        return f"{_PREFIX}{self.year:04}_{self.number:02}"

    @property
    def start_ms(self) -> int:
        """Return its first millisecond."""
        return int(datetime(self.year, self.number, 1, tzinfo=UTC).timestamp()) * 1000

    @property
    def following(self) -> "Month":
        """Return the month after it."""
        if self.number == 12:
            return Month(self.year + 1, 1)
        return Month(self.year, self.number + 1)


async def make_months(connection: asyncpg.Connection, now_ms: WallMs) -> Sequence[str]:
    """Make the partitions of this month and those ahead that lack; return their names.

    Where the table is in use for too long, as it is by a dump, the next time it may not be.
    """
    there = {row[0] for row in await connection.fetch(_MONTHS, _PREFIX)}
    made, month = [], Month.of(now_ms)
    for _ in range(1 + limits.POSTGRES_MONTHS_AHEAD):
        try:
            if month.name not in there and await _make(connection, month):
                made.append(month.name)
        except asyncpg.LockNotAvailableError as error:
            _say_in_use(month.name, error)
            break  # so it is for the others
        month = month.following
    return made


async def drop_months(connection: asyncpg.Connection, now_ms: WallMs) -> dict[str, int]:
    """Drop months of which nothing is kept any longer; return how many blocks went, by setting.

    Where the table is in use for too long, as it is by a dump, the next time it may not be.
    """
    rows = await connection.fetch("SELECT name, value FROM keeping")
    keeping = keeping_of({row[0]: row[1] for row in rows})
    cuts = [keeping.raw_before_ms(priority, now_ms) for priority in (0, 1, 2)]
    before = [-limits.INT_MAX if cut is None else cut for cut in cuts]
    dropped: dict[str, int] = {}
    for (name,) in await connection.fetch(_MONTHS, _PREFIX):
        if name >= Month.of(now_ms).name:
            break  # blocks still arrive in it
        try:
            went = await _drop(connection, name, before)
        except asyncpg.LockNotAvailableError as error:
            _say_in_use(name, error)
            break  # so it is for the others, and contacts wait behind each attempt
        if went is None:
            continue
        for setting, blocks in went.items():
            dropped[setting] = dropped.get(setting, 0) + blocks
        _log.event("month_dropped", month=name)
    return dropped


async def fold_totals(connection: asyncpg.Connection) -> None:
    """Sum up the changes of `block_total`, one row for each priority."""
    await connection.execute(_FOLD)


async def _drop(
    connection: asyncpg.Connection, name: str, before: Sequence[int]
) -> dict[str, int] | None:
    """Drop a month; return how many blocks went, by setting. None: some of them are kept."""
    async with connection.transaction():
        await connection.execute(_PATIENCE)
        if not await connection.fetchval(_IS_OVER.format(month=name), *before):
            return None
        # Since it was looked at, a walk through a boot may have placed blocks anew.
        await connection.execute(f"LOCK TABLE block, {name} IN ACCESS EXCLUSIVE MODE")
        if not await connection.fetchval(_IS_OVER.format(month=name), *before):
            return None
        await connection.execute(_TELL_AGENTS.format(month=name))
        totals = await connection.fetch(_TELL_TOTALS.format(month=name))
        await connection.execute(f"DROP TABLE {name}")
    return {f"raw.{priority}": blocks for priority, blocks in totals}


def _say_in_use(month: str, error: asyncpg.LockNotAvailableError) -> None:
    _log.event("month_in_use", month=month, cause=str(error))


async def _make(connection: asyncpg.Connection, month: Month) -> bool:
    bounds = f"FROM ({month.start_ms}) TO ({month.following.start_ms})"
    try:
        async with connection.transaction():
            await connection.execute(_PATIENCE)
            await connection.execute(
                f"CREATE TABLE IF NOT EXISTS {month.name} PARTITION OF block FOR VALUES {bounds}"
            )
    except asyncpg.CheckViolationError:
        # Blocks of this month lie in `block_otherwise` already; retention takes them row by row.
        return False
    return True
