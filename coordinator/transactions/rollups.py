"""What has to be rolled up, the blocks it is computed from, and the buckets themselves.

A stored block leaves an order to compute the minutes it touches; one that is placed elsewhere
leaves two. An order is taken off when all its minutes are written, so a crash repeats it and
repeating changes nothing. Leaves out the arithmetic (`coordinator.core.rollup`) and the loop
(`coordinator.services.rollups`).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from coordinator.core.ports import Row, Scalar, Tx, execute_many, fetch, fetch_one
from coordinator.core.retime import Sureness
from coordinator.core.rollup import DAY_MS, Buckets
from coordinator.core.rollup_rows import RollupRows
from coordinator.transactions.readings import load_schema
from coordinator.transactions.retime import has_walks
from shared import limits
from shared.ids import AgentId
from shared.model.reading import SchemaRef


@dataclass(frozen=True, slots=True)
class Due:
    """One order: the minutes that a block touches when it is shifted so far."""

    number: int
    agent: AgentId
    epoch: bytes
    seq: int
    shift_ms: int
    is_readable: bool
    """Its channel list is known."""
    schema: SchemaRef | None
    """Names that list; None with the block."""
    data: bytes | None
    """None: the block is gone, and so is the order."""


@dataclass(frozen=True, slots=True)
class DueWork:
    """What there is to do."""

    has_walks: bool
    """Boots wait for their place in true time, which comes first."""
    since_ms: int | None
    """When the block of the oldest order came; None: everything is rolled up."""
    orders: Sequence[Due] = ()


@dataclass(frozen=True, slots=True)
class Hour:
    """Minutes of one hour of one agent that have to be computed."""

    agent: AgentId
    hour_ms: int
    minutes: frozenset[int]
    """0 to 59; at least one."""

    @property
    def day_ms(self) -> int:
        """Return when the day begins that the hour is of."""
        return self.hour_ms // DAY_MS * DAY_MS

    @property
    def start_ms(self) -> int:
        """Return when the first of them begins."""
        return self.hour_ms + min(self.minutes) * 60_000

    @property
    def end_ms(self) -> int:
        """Return when the last of them ends."""
        return self.hour_ms + (max(self.minutes) + 1) * 60_000


@dataclass(frozen=True, slots=True)
class Lag:
    """How far rollups are behind."""

    orders: int
    since_ms: int | None
    """When the block of the oldest order came."""


@dataclass(frozen=True, slots=True)
class PlacedBlock:
    """A stored block and its place in true time."""

    epoch: bytes
    seq: int
    first_ms: int
    shift_ms: int
    sureness: Sureness
    err_ms: int
    schema: SchemaRef
    data: bytes


@dataclass(frozen=True, slots=True)
class After:
    """Where a walk by the start of blocks stands: long blocks come first."""

    is_long: bool = True
    first_ms: int = -limits.INT_MAX
    epoch: bytes = b""
    seq: int = 0


@dataclass(frozen=True, slots=True)
class Ground:
    """What an hour is computed from."""

    hour: Hour
    blocks: Sequence[tuple[bytes, PlacedBlock]]
    """Channel list and block; those whose list nobody knows are left out."""
    after: After | None
    """Where the rest begins that had no room; None: this is all."""
    stored: Sequence[Row] = ()
    """Its minutes and the hours of its day as they are stored, by channel."""


@dataclass(frozen=True, slots=True)
class Folded:
    """Hours of one agent, computed, and what they make of the rows that are stored."""

    hours: Sequence[Hour]
    found: Sequence[Buckets]
    stored: Sequence[Sequence[Row]]
    """By hour, as they were read."""
    rows: RollupRows


def due_work(busy: frozenset[AgentId], last: str = "") -> Tx[DueWork]:
    """Return orders of the agents whose turn it is after the `last` one: of each all, or many.

    The further behind, the more of one agent's orders come together and share their minutes. No
    agent waits until another one has none left. Those that are `busy` are left out: their orders
    are about to be taken off.
    """
    has = yield from has_walks()
    since_ms = yield from oldest_order()
    if has or since_ms is None:
        return DueWork(has, since_ms)
    orders: list[Due] = []
    due = yield from _agents_due(last, limits.ROLLUP_AGENTS + len(busy))
    agents = [one for one in due if one not in busy]
    for agent in agents[: limits.ROLLUP_AGENTS]:
        left = limits.ROLLUP_ORDERS - len(orders)
        if left <= 0:
            break
        rows = yield from fetch("rollup_due_of_agent", agent, left)
        orders += [
            Due(number, agent, epoch, seq, shift_ms, bool(readable), schema, data)
            for number, epoch, seq, shift_ms, readable, schema, data in rows
        ]
    return DueWork(has_walks=False, since_ms=since_ms, orders=orders)


def _agents_due(last: str, most: int) -> Tx[list[AgentId]]:
    """Return agents that have orders, those after the last one first."""
    rows = yield from fetch("rollup_due_agents", last, most)
    if last and len(rows) < most:
        rows = [*rows, *(yield from fetch("rollup_due_agents", "", most))]
    return list(dict.fromkeys(AgentId(row[0]) for row in rows))


def grounds_of(hours: Sequence[Hour]) -> Tx[Sequence[Ground | None]]:
    """Return what some hours are computed from, for as many of them as there is room for.

    None in the place of an hour whose readings retention took away: what was computed from them
    cannot be computed again.
    """
    found: list[Ground | None] = []
    agents: dict[AgentId, tuple[int, bool]] = {}
    schemas: dict[tuple[AgentId, SchemaRef], bytes | None] = {}
    room = limits.ROLLUP_BYTES
    for hour in hours:
        if found and room <= 0:
            break
        if hour.agent not in agents:
            row = yield from fetch_one("rollup_agent", hour.agent)
            assert row is not None, "no table has to have a row for it"
            agents[hour.agent] = -limits.INT_MAX if row[0] is None else row[0], bool(row[1])
        gone_ms, has_long = agents[hour.agent]
        if hour.hour_ms < gone_ms:
            found.append(None)
            continue
        ground = yield from ground_of(hour, After(is_long=has_long), schemas, room)
        stored = yield from _stored(hour)
        room -= sum(len(one.data) for _, one in ground.blocks)
        room -= sum(len(minutes or b"") + len(hours or b"") for *_, minutes, hours in stored)
        found.append(replace(ground, stored=stored))
    return found


def ground_of(
    hour: Hour,
    after: After,
    schemas: dict[tuple[AgentId, SchemaRef], bytes | None],
    room: int,
) -> Tx[Ground]:
    """Return blocks that an hour is computed from, until `room` bytes are full."""
    blocks: list[tuple[bytes, PlacedBlock]] = []
    start_ms, end_ms, place = hour.start_ms, hour.end_ms, after
    while True:
        page = limits.READING_BLOCKS
        some, rest = yield from blocks_in(hour.agent, start_ms, end_ms, place, size=page)
        for one in some:
            key = hour.agent, one.schema
            if key not in schemas:
                schemas[key] = yield from load_schema(*key)
            if (schema := schemas[key]) is not None:
                blocks.append((schema, one))
        room -= sum(len(one.data) for one in some)
        if rest is None or room <= 0:
            return Ground(hour, blocks, rest)
        place = rest


def blocks_in(
    agent: AgentId, start_ms: int, end_ms: int, after: After, *, size: int
) -> Tx[tuple[Sequence[PlacedBlock], After | None]]:
    """Return up to `size` blocks with rows in [start_ms, end_ms), and where to go on.

    In the order of their start, those that span more than a day before all others.
    """
    lowest_ms = -limits.INT_MAX if after.is_long else start_ms - limits.BLOCK_SPAN_MS
    rows = yield from fetch(
        "blocks_in",
        agent,
        int(after.is_long),
        max(lowest_ms, after.first_ms),
        end_ms,
        start_ms,
        after.first_ms,
        after.epoch,
        after.seq,
        size,
    )
    blocks = [
        PlacedBlock(epoch, seq, first_ms, shift_ms, Sureness(sure), err_ms, ref, data)
        for epoch, seq, first_ms, shift_ms, sure, err_ms, ref, data in rows
    ]
    if len(blocks) == size:
        last = blocks[-1]
        return blocks, After(after.is_long, last.first_ms, last.epoch, last.seq)
    return blocks, After(is_long=False) if after.is_long else None


def _stored(hour: Hour) -> Tx[Sequence[Row]]:
    return (yield from fetch("rollup_of_hour", hour.agent, hour.hour_ms, hour.day_ms))


def folded(found: Iterable[tuple[Hour, Buckets, Sequence[Row]]]) -> list[Folded]:
    """Merge computed hours into the rows that were read, agent by agent.

    What has more rows than one transaction should write is in several parts. Hours of a day have
    rows in common: the later part finds them changed by the earlier one, and is merged once more.
    """
    agents: dict[AgentId, list[list[tuple[Hour, Buckets, Sequence[Row]]]]] = {}
    for one in found:
        parts = agents.setdefault(one[0].agent, [[]])
        if parts[-1] and sum(len(buckets) for _, buckets, _ in parts[-1]) >= limits.ROLLUP_SERIES:
            parts.append([])
        parts[-1].append(one)
    return [
        Folded(hours, buckets, stored, _merged(hours, buckets, stored))
        for parts in agents.values()
        for hours, buckets, stored in (zip(*some, strict=True) for some in parts)
    ]


def _merged(
    hours: Sequence[Hour], found: Sequence[Buckets], stored: Sequence[Sequence[Row]]
) -> RollupRows:
    rows = RollupRows()
    for hour, buckets, before in zip(hours, found, stored, strict=True):
        rows.read(hour.hour_ms, before)
        rows.put(hour.hour_ms, hour.minutes, buckets)
    return rows


def write_hours(all_folded: Sequence[Folded]) -> Tx[None]:
    """Put minutes in the place of those before, and their hours after them.

    They were merged before the transaction, which others wait for. Where somebody wrote meanwhile,
    which another process may, they are merged once more.
    """
    channels: list[tuple[Scalar, ...]] = []
    saved: list[tuple[Scalar, ...]] = []
    empty: list[tuple[Scalar, ...]] = []
    for one in all_folded:
        stored = list(one.stored)
        for at, hour in enumerate(one.hours):
            stored[at] = yield from _stored(hour)
        as_read = all(list(now) == list(then) for now, then in zip(stored, one.stored, strict=True))
        rows = one.rows if as_read else _merged(one.hours, one.found, stored)
        agent = one.hours[0].agent
        channels += [
            (agent, number, channel.device, channel.point, channel.unit, channel.kind)
            for channel, number in rows.fresh.items()
        ]
        for key, data in rows.changed.items():
            if data is None:
                empty.append((agent, *key))
            else:
                saved.append((agent, *key, data))
    for name, values in (
        ("channel_insert", channels),
        ("rollup_save", saved),
        ("rollup_delete", empty),
    ):
        if values:
            yield from execute_many(name, values)


def end_orders(found: Sequence[Folded], done: Sequence[int], waiting: Sequence[int]) -> Tx[None]:
    """Write the last hours of some orders and take these off; some wait for their channel list."""
    yield from write_hours(found)
    for name, numbers in (("rollup_due_done", done), ("rollup_due_wait", waiting)):
        if numbers:
            yield from execute_many(name, [(number,) for number in numbers])


def oldest_order() -> Tx[int | None]:
    """Return when the block of the oldest order came; None: everything is rolled up."""
    row = yield from fetch_one("rollup_due_oldest")
    return None if row is None else row[0]


def rollup_lag() -> Tx[Lag]:
    """Return how far rollups are behind."""
    row = yield from fetch_one("rollup_due_count")
    assert row is not None, "count answers a row"
    return Lag(*row)
