"""What has to be rolled up, the blocks it is computed from, and what is stored already.

A stored block leaves an order to compute the minutes it touches; one that is placed elsewhere
leaves two. An order is taken off when all its minutes are written, so a crash repeats it and
repeating changes nothing. Leaves out the arithmetic (`coordinator.core.rollup`), writing what came
out (`coordinator.transactions.rollup_writes`) and the loop (`coordinator.services.rollups`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from coordinator.core.ports import Row, Tx, fetch, fetch_one
from coordinator.core.retime import Sureness
from coordinator.core.rollup import ALL_MINUTES, DAY_MS
from coordinator.core.rollup_rows import lacks_minutes
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
    channels: int = 0
    """How many its agent has had so far."""


@dataclass(frozen=True, slots=True)
class DueWork:
    """What there is to do."""

    has_walks: bool
    """Boots wait for their place in true time, which comes first, for a while."""
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
    is_partial: bool = False
    """Readings of it may be gone: of what was computed from them nothing may be lost."""

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
class Stored:
    """What is stored of an agent, as far as an hour is merged into it."""

    channels: Sequence[Row] = ()
    """All that it ever had: number, device, point, unit, kind."""
    rows: Sequence[Row] = ()
    """Number, the hour's minutes and its day's hours, of the channels that have any."""


@dataclass(frozen=True, slots=True)
class Ground:
    """What an hour is computed from."""

    hour: Hour
    blocks: Sequence[tuple[bytes, PlacedBlock]]
    """Channel list and block; those whose list nobody knows are left out."""
    after: After | None
    """Where the rest begins that had no room; None: this is all."""
    stored: Stored = Stored()


def due_work(busy: frozenset[AgentId], last: str = "", *, after_walks: bool = False) -> Tx[DueWork]:
    """Return orders of the agents whose turn it is after the `last` one: of each all, or many.

    The further behind, the more of one agent's orders come together and share their minutes. No
    agent waits until another one has none left. Those that are `busy` are left out: their orders
    are about to be taken off. While boots wait for their place there are none, unless they had
    their turns: `after_walks`.
    """
    has = yield from has_walks()
    since_ms = yield from oldest_order()
    if since_ms is None or (has and not after_walks):
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
            Due(number, agent, epoch, seq, shift_ms, bool(readable), schema, data, channels or 0)
            for number, epoch, seq, shift_ms, readable, schema, data, channels in rows
        ]
    return DueWork(has, since_ms, orders)


def _agents_due(last: str, most: int) -> Tx[list[AgentId]]:
    """Return agents that have orders, those after the last one first."""
    rows = yield from fetch("rollup_due_agents", last, most)
    if last and len(rows) < most:
        rows = [*rows, *(yield from fetch("rollup_due_agents", "", most))]
    return list(dict.fromkeys(AgentId(row[0]) for row in rows))


def grounds_of(hours: Sequence[Hour]) -> Tx[Sequence[Ground]]:
    """Return what some hours are computed from, for as many of them as there is room for."""
    found: list[Ground] = []
    agents: dict[AgentId, tuple[int, bool, Sequence[Row]]] = {}
    schemas: dict[tuple[AgentId, SchemaRef], bytes | None] = {}
    room = limits.ROLLUP_BYTES
    for hour in hours:
        if found and room <= 0:
            break
        if hour.agent not in agents:
            agents[hour.agent] = yield from _agent(hour.agent)
            room -= len(agents[hour.agent][2]) * limits.ROLLUP_CHANNEL_BYTES
        gone_ms, has_long, channels = agents[hour.agent]
        stored = yield from stored_of(hour)
        minutes = ALL_MINUTES if lacks_minutes(hour.hour_ms, stored) else hour.minutes
        asked = replace(hour, minutes=minutes, is_partial=hour.hour_ms < gone_ms)
        ground = yield from ground_of(asked, After(is_long=has_long), schemas, room)
        room -= sum(len(one.data) for _, one in ground.blocks)
        room -= sum(len(minutes or b"") + len(hours or b"") for *_, minutes, hours in stored)
        found.append(replace(ground, stored=Stored(channels, stored)))
    return found


def _agent(agent: AgentId) -> Tx[tuple[int, bool, Sequence[Row]]]:
    """Return from when on its blocks are here, whether some are long, and all its channels."""
    rows = yield from fetch("rollup_agent", agent)
    gone_ms, has_long, *_ = rows[0]  # one at least, without a channel where there is none
    channels = [row[2:] for row in rows if row[2] is not None]
    return -limits.INT_MAX if gone_ms is None else gone_ms, bool(has_long), channels


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


def stored_of(hour: Hour, first: int = 0, last: int = limits.INT_MAX) -> Tx[Sequence[Row]]:
    """Return rows that an hour is merged into, of channels with numbers from `first` to `last`."""
    values = (hour.agent, hour.hour_ms, hour.day_ms, first, last)
    return (yield from fetch("rollup_of_hour", *values))


def oldest_order() -> Tx[int | None]:
    """Return when the block of the oldest order came; None: everything is rolled up."""
    row = yield from fetch_one("rollup_due_oldest")
    return None if row is None else row[0]


def rollup_lag() -> Tx[Lag]:
    """Return how far rollups are behind."""
    row = yield from fetch_one("rollup_due_count")
    assert row is not None, "count answers a row"
    return Lag(*row)
