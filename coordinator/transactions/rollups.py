"""What has to be rolled up, the blocks it is computed from, and the buckets themselves.

A stored block leaves an order to compute the minutes it touches; one that is placed elsewhere
leaves two. An order is taken off when all its minutes are written, so a crash repeats it and
repeating changes nothing. Leaves out the arithmetic (`coordinator.core.rollup`) and the loop
(`coordinator.services.rollups`).
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from coordinator.core.ports import Tx, execute, execute_many, fetch, fetch_one
from coordinator.core.retime import Sureness
from coordinator.core.rollup import (
    DAY_MS,
    HOUR_MS,
    HOUR_S,
    MINUTE_S,
    Bucket,
    merged,
    pack_buckets,
    replaced,
    unpack_buckets,
)
from shared import limits
from shared.ids import AgentId
from shared.model.reading import Channel, SchemaRef


@dataclass(frozen=True, slots=True)
class Due:
    """One order: the minutes that a block touches when it is shifted so far."""

    number: int
    shift_ms: int
    data: bytes | None
    """None: the block is gone, and so is the order."""
    is_readable: bool
    """Its channel list is known."""


@dataclass(frozen=True, slots=True)
class DueBatch:
    """Orders of the agent that has waited longest."""

    agent: AgentId
    orders: Sequence[Due]


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


def due_batch(size: int) -> Tx[DueBatch | None]:
    """Return up to `size` orders of the agent with the oldest one."""
    row = yield from fetch_one("rollup_due_oldest")
    if row is None:
        return None
    agent = AgentId(row[0])
    rows = yield from fetch("rollup_due_of_agent", agent, size)
    return DueBatch(agent, [Due(row[0], row[1], row[3], bool(row[2])) for row in rows])


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


def write_minutes(
    agent: AgentId,
    hour_ms: int,
    wanted: Collection[int],
    found: Mapping[Channel, Sequence[Bucket]],
) -> Tx[None]:
    """Put minutes of one hour in the place of those before, and the hour after them."""
    numbers = yield from _channels(agent, found)
    by_number = {numbers[channel]: buckets for channel, buckets in found.items()}
    for number in numbers.values():
        old = yield from _row(agent, number, MINUTE_S, hour_ms)
        new = replaced(old, wanted, by_number.get(number, ()))
        if new != old:
            yield from _put(agent, number, MINUTE_S, hour_ms, new)
            yield from _write_hour(agent, number, hour_ms, new)


def settle_orders(done: Sequence[int], waiting: Sequence[int]) -> Tx[None]:
    """Take orders off, and put aside those whose channel list nobody knows yet."""
    yield from execute_many("rollup_due_done", [(number,) for number in done])
    yield from execute_many("rollup_due_wait", [(number,) for number in waiting])


def oldest_order() -> Tx[int | None]:
    """Return when the block of the oldest order came; None: everything is rolled up."""
    row = yield from fetch_one("rollup_due_oldest")
    return None if row is None else row[1]


def rollup_lag() -> Tx[Lag]:
    """Return how far rollups are behind."""
    row = yield from fetch_one("rollup_due_count")
    assert row is not None, "count answers a row"
    return Lag(*row)


def _channels(agent: AgentId, found: Collection[Channel]) -> Tx[dict[Channel, int]]:
    """Return the numbers of an agent's channels; new ones get the next."""
    rows = yield from fetch("channels_of_agent", agent)
    numbers = {Channel(*row[1:]): int(row[0]) for row in rows}
    for channel in found:
        if channel not in numbers:
            numbers[channel] = max(numbers.values(), default=0) + 1
            names = (channel.device, channel.point, channel.unit, channel.kind)
            yield from execute("channel_insert", agent, numbers[channel], *names)
    return numbers


def _write_hour(agent: AgentId, channel: int, hour_ms: int, minutes: Sequence[Bucket]) -> Tx[None]:
    day_ms = hour_ms // DAY_MS * DAY_MS
    at = (hour_ms - day_ms) // HOUR_MS
    old = yield from _row(agent, channel, HOUR_S, day_ms)
    new = replaced(old, {at}, [merged(minutes, at)] if minutes else [])
    yield from _put(agent, channel, HOUR_S, day_ms, new)


def _row(agent: AgentId, channel: int, width_s: int, start_ms: int) -> Tx[list[Bucket]]:
    row = yield from fetch_one("rollup_row", agent, channel, width_s, start_ms)
    return [] if row is None else unpack_buckets(row[0])


def _put(
    agent: AgentId, channel: int, width_s: int, start_ms: int, buckets: Sequence[Bucket]
) -> Tx[None]:
    if buckets:
        data = pack_buckets(buckets)
        yield from execute("rollup_save", agent, channel, width_s, start_ms, data)
    else:
        yield from execute("rollup_delete", agent, channel, width_s, start_ms)
