"""Which stored blocks and rollups a question about readings needs.

Every walk goes on from the key of the last row it saw, never from a row's number in a file.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from coordinator.core.buckets import Bucket, unpack_row
from coordinator.core.ports import Scalar, Tx, fetch, fetch_one
from coordinator.core.retime import Sureness
from coordinator.core.rollup import ROW_MS
from coordinator.core.targeting import fold_labels
from shared import limits
from shared.ids import AgentId
from shared.model.reading import Channel, SchemaRef
from shared.model.selector import Selector


@dataclass(frozen=True, slots=True)
class StoredBlock:
    """A block as it came, with its place in true time."""

    agent: AgentId
    schema: SchemaRef
    data: bytes
    shift_ms: int
    sureness: Sureness
    err_ms: int


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a walk back in time stands: the key of the last block it saw."""

    last_ms: int
    agent: str = "\U0010ffff"
    epoch: bytes = b"\xff" * 17
    seq: int = limits.INT_MAX


@dataclass(frozen=True, slots=True)
class Found:
    """Some blocks of a walk back in time."""

    blocks: Sequence[StoredBlock]
    cursor: Cursor
    scanned: int
    more: bool


@dataclass(frozen=True, slots=True)
class KnownChannel:
    """A channel under the number that rollups know it by."""

    number: int
    channel: Channel


def first_cursor(end_ms: int) -> Tx[Cursor]:
    """Return where a walk back from a moment begins: no block with rows before it ends later."""
    row = yield from fetch_one("long_blocks_end", end_ms)
    latest_ms = row[0] if row and row[0] is not None else -limits.INT_MAX
    return Cursor(min(limits.INT_MAX, max(latest_ms, end_ms + limits.BLOCK_SPAN_MS)))


def blocks_between(
    agents: Sequence[AgentId] | None, *, start_ms: int, end_ms: int, before: Cursor, size: int
) -> Tx[Found]:
    """Return up to `size` blocks with rows in [start_ms, end_ms), latest end first.

    Blocks of other agents are passed over by the index alone.
    """
    one = agents is not None and len(agents) == 1
    name = "blocks_of_agent" if one else "blocks_of_all"
    after = (before.last_ms, before.agent, before.epoch, before.seq)
    values: tuple[Scalar, ...] = (*after, start_ms, end_ms, limits.READING_KEYS)
    if one and agents:
        values = (*values, agents[0])
    keys = yield from fetch(name, *values)
    wanted = None if agents is None else frozenset(agents)
    blocks: list[StoredBlock] = []
    scanned, cursor = 0, before
    for last_ms, agent, epoch, seq in keys:
        if len(blocks) == size:
            break
        scanned, cursor = scanned + 1, Cursor(last_ms, agent, epoch, seq)
        if wanted is None or agent in wanted:
            row = yield from fetch_one("block_body", agent, epoch, seq)
            assert row is not None, "the index lists it"
            ref, data, shift_ms, sureness, err_ms = row
            blocks.append(
                StoredBlock(AgentId(agent), ref, data, shift_ms, Sureness(sureness), err_ms)
            )
    more = scanned < len(keys) or len(keys) == limits.READING_KEYS
    return Found(blocks, cursor, scanned, more)


def load_schema(agent: AgentId, ref: SchemaRef) -> Tx[bytes | None]:
    """Return a channel list's bytes, None while its agent has not sent it."""
    row = yield from fetch_one("schema", agent, ref)
    return row[0] if row else None


def agents_matching(selectors: Sequence[Selector], *, after: str) -> Tx[tuple[list[AgentId], str]]:
    """Return agents whose labels match, from some of all, and after which to ask on ("": done)."""
    labels = fold_labels((yield from fetch("labels_after", after, limits.PAGE_ITEMS)))
    found = [
        AgentId(agent)
        for agent in sorted(labels)
        if all(selector.matches(labels[agent]) for selector in selectors)
    ]
    return found, max(labels, default="")


def channels_of(agent: AgentId) -> Tx[list[KnownChannel]]:
    """Return an agent's channels that have rollups, in the order of their numbers."""
    rows = yield from fetch("channels_of_agent", agent)
    return sorted(
        (KnownChannel(row[0], Channel(row[1], row[2], row[3], row[4])) for row in rows),
        key=lambda one: one.number,
    )


def rollup_rows(
    agent: AgentId, channel: int, width_s: int, *, start_ms: int, end_ms: int, size: int
) -> Tx[tuple[list[tuple[int, Bucket]], int | None]]:
    """Return (start, bucket) of one channel in [start_ms, end_ms), and where to go on."""
    row_ms = ROW_MS[width_s]
    first_ms = start_ms // row_ms * row_ms
    rows = yield from fetch("rollup_rows", agent, channel, width_s, first_ms, end_ms, size)
    found = [
        (at_ms, bucket)
        for row_start_ms, data in rows
        for bucket in unpack_row(data).buckets()
        if start_ms <= (at_ms := row_start_ms + bucket.at * width_s * 1000) < end_ms
    ]
    return found, rows[-1][0] + row_ms if len(rows) == size else None
