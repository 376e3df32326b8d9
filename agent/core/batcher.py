"""Poll rows -> blocks: where one block ends and the next begins, and rows turned into columns.

Owns the cut: a block holds readings of one boot, one clock state and no step of the clock, so that
its one pair of wall and monotonic time re-times all of it. Leaves out when blocks are committed
(the store's keeper), their numbers' storage and their bytes (`shared.block.codec`).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from agent.core.ports import PollRow
from shared import limits
from shared.clock import Instant, MonoMs, WallMs
from shared.ids import BlockSeq, SchemaHash, StoreEpoch
from shared.model import judging
from shared.model.reading import Block, Group, Quality, Value, boot_ref, epoch_ref, schema_ref

ROUTINE = judging.ROUTINE
"""The priority of readings that wait for a contact."""

STEP_MS = 2_000
"""A wall clock that moves this much against the monotonic one was set, not slewed."""


@dataclass(frozen=True, slots=True)
class Address:
    """What a block needs to be filed: whose it is and what its columns mean."""

    epoch: StoreEpoch
    seq: BlockSeq
    schema: SchemaHash


def readings_in(row: PollRow) -> int:
    """Return how many of a row's cells were sampled: they have a value, or say why there is none.

    A device that did not answer still counts: nothing that was due is missing from the account.
    """
    return sum(
        value is not None or quality is not Quality.GOOD
        for value, quality in zip(row.values, row.qualities, strict=True)
    )


def cut(rows: Iterable[PollRow]) -> list[list[PollRow]]:
    """Return the rows, in their order, as one list for each block they need."""
    batches: list[list[PollRow]] = []
    readings = cells = 0
    for row in rows:
        more_readings, more_cells = readings_in(row), len(row.channels) + 1
        fits = (
            readings + more_readings <= limits.BLOCK_POINTS
            and cells + more_cells <= limits.BATCH_CELLS
        )
        if not batches or not fits or _breaks(batches[-1], row):
            batches.append([])
            readings = cells = 0
        batches[-1].append(row)
        readings += more_readings
        cells += more_cells
    return batches


def by_priority(rows: Iterable[PollRow]) -> list[list[PollRow]]:
    """Return the rows of each priority that occurs, the most urgent first, in their order."""
    found: dict[int, list[PollRow]] = {}
    for row in rows:
        found.setdefault(row.priority, []).append(row)
    return [found[priority] for priority in sorted(found)]


def build_block(rows: Sequence[PollRow], address: Address) -> Block:
    """Return the block that holds these rows of one priority, which one `cut` put together.

    Rows of the same channels share a group and its time stamps; groups stand in the order in
    which they were first polled.
    """
    first = rows[0].at
    groups: dict[tuple[int, ...], list[PollRow]] = {}
    for row in rows:
        groups.setdefault(tuple(row.channels), []).append(row)
    return Block(
        epoch=epoch_ref(address.epoch),
        seq=address.seq,
        priority=rows[0].priority,
        boot=boot_ref(first.boot_id),
        mono_ms=first.mono_ms,
        wall_ms=first.wall_ms,
        clock_state=first.state,
        err_ms=max(row.at.err_ms for row in rows),
        schema=schema_ref(address.schema),
        groups=tuple(_group(channels, members) for channels, members in groups.items()),
    )


def grown(block: Block, rows: Sequence[PollRow]) -> list[PollRow] | None:
    """Return the rows of an older block with `rows` behind them; None if none of them fits in.

    Without `rows` the block is only taken apart.

    The block's own rows come back with its one clock: to the millisecond for the first of them,
    within `STEP_MS` for the others, which is all that a block ever says about them.
    """
    boot_id = rows[0].at.boot_id if rows else block.boot
    if block.boot != boot_ref(boot_id):
        return None
    before = [row for group in block.groups for row in _rows(group, block, boot_id)]
    if rows and len(cut([*before, rows[0]])) > 1:
        return None
    return [*before, *rows]


def _rows(group: Group, block: Block, boot_id: bytes) -> list[PollRow]:
    clocks = [
        Instant(
            wall_ms=WallMs(time_ms),
            mono_ms=MonoMs(block.mono_ms + time_ms - block.wall_ms),
            boot_id=boot_id,
            state=block.clock_state,
            err_ms=block.err_ms,
        )
        for time_ms in group.times_ms
    ]
    values = zip(*group.columns, strict=True)
    qualities = zip(*group.qualities, strict=True)
    return [
        PollRow(
            channels=group.channels,
            at=at,
            values=row,
            qualities=[Quality(mark) for mark in marks],
            priority=block.priority,
        )
        for at, row, marks in zip(clocks, values, qualities, strict=True)
    ]


def _breaks(batch: Sequence[PollRow], row: PollRow) -> bool:
    """Tell whether the clock of `row` is not the one the batch began, or went on, with."""
    first, last, now = batch[0].at, batch[-1].at, row.at
    if (first.boot_id, first.state) != (now.boot_id, now.state):
        return True
    offset = now.wall_ms - now.mono_ms
    # Against the first as well: many small steps must not add up inside one block.
    return any(abs(offset - (one.wall_ms - one.mono_ms)) > STEP_MS for one in (first, last))


def _group(channels: tuple[int, ...], rows: Sequence[PollRow]) -> Group:
    values = zip(*(row.values for row in rows), strict=True)
    columns: list[list[Value]] = [list(column) for column in values]
    qualities = list(map(bytes, zip(*(row.qualities for row in rows), strict=True)))
    return Group(channels, [row.at.wall_ms for row in rows], columns, qualities)
