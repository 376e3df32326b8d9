"""Answers questions about readings from the blocks as they came.

Walks back in time through the index, decodes in a thread, and stops when older blocks can add
nothing. Leaves out the choice of rows (`coordinator.core.series`) and HTTP.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby

from coordinator.contract.common import to_time
from coordinator.contract.readings import (
    ClockRun,
    ClockText,
    QualityText,
    ReadingsView,
    SeriesView,
)
from coordinator.core.ports import Store
from coordinator.core.series import Collection, Question, Series, collect
from coordinator.transactions.readings import Cursor, StoredBlock, blocks_between, load_schema
from shared import limits
from shared.block.schema import Schema
from shared.clock import ClockState
from shared.ids import AgentId
from shared.model.reading import Channel, Quality, SchemaRef

_QUALITY: dict[int, QualityText] = {
    Quality.GOOD: "good",
    Quality.UNCERTAIN: "uncertain",
    Quality.BAD_COMM: "bad_comm",
    Quality.BAD_RANGE: "bad_range",
    Quality.STALE: "stale",
}
_CLOCK: dict[ClockState, ClockText] = {
    ClockState.UNSYNCED: "unsynced",
    ClockState.HOLDOVER: "holdover",
    ClockState.SYNCED: "synced",
    ClockState.STEPPED: "stepped",
}
_END = Cursor(limits.INT_MAX, limits.INT_MAX)


@dataclass(slots=True)
class _Walk:
    """One question on its way back through the blocks."""

    collection: Collection
    cursor: Cursor = _END
    scanned: int = 0
    undecoded: int = 0
    more: bool = True
    oldest_ms: int | None = None
    """Of the newest `limit` readings found so far."""
    schemas: dict[tuple[AgentId, SchemaRef], Schema | None] = field(default_factory=dict)

    def is_done(self) -> bool:
        """Tell whether older blocks can add nothing, or are too many to look at."""
        complete = self.oldest_ms is not None and self.cursor.last_ms < self.oldest_ms
        return not self.more or complete or self.scanned >= limits.READING_BLOCKS_SCANNED


async def answer(store: Store, question: Question) -> ReadingsView:
    """Return the newest readings that match.

    Raises:
        WorldError: the store does not work.
    """
    walk = _Walk(Collection(question))
    while not walk.is_done():
        await _step(store, walk)
    return await asyncio.to_thread(_view, walk)


async def _step(store: Store, walk: _Walk) -> None:
    question = walk.collection.question
    blocks = await store.read(
        partial(
            blocks_between,
            question.agent,
            start_ms=question.start_ms,
            end_ms=question.end_ms,
            before=walk.cursor,
            size=limits.READING_BLOCKS,
        )
    )
    walk.more = len(blocks) == limits.READING_BLOCKS
    walk.scanned += len(blocks)
    if not blocks:
        return
    walk.cursor = Cursor(blocks[-1].last_ms, blocks[-1].rowid)
    await _learn(store, walk, blocks)
    known = []
    for block in blocks:
        schema = walk.schemas[block.agent, block.schema]
        if schema is None:
            walk.undecoded += 1
        elif any(map(question.wants, schema.channels)):
            known.append((block.agent, schema, block.data))
    walk.oldest_ms = await asyncio.to_thread(collect, walk.collection, known)


async def _learn(store: Store, walk: _Walk, blocks: Sequence[StoredBlock]) -> None:
    for block in blocks:
        key = block.agent, block.schema
        if key not in walk.schemas:
            data = await store.read(partial(load_schema, *key))
            walk.schemas[key] = None if data is None else Schema.decode(data)


def _view(walk: _Walk) -> ReadingsView:
    question = walk.collection.question
    from_ms = walk.oldest_ms
    unread = walk.more and walk.cursor.last_ms >= question.start_ms
    if from_ms is None and unread:
        # The scan was given up: what is complete begins after the last block that was seen.
        from_ms = walk.cursor.last_ms + 1
    series = walk.collection.sorted_from(question.start_ms if from_ms is None else from_ms)
    shown = sum(len(one.times_ms) for one in series.values())
    first_ms = min((one.times_ms[0] for one in series.values()), default=None)
    complete_ms = first_ms if from_ms is None else from_ms
    order = sorted(series, key=lambda key: (key[0], key[1].device, key[1].point, key[1].unit))
    return ReadingsView(
        series=[_series_view(*key, series[key]) for key in order],
        readings=shown,
        truncated=unread or shown < len(walk.collection),
        complete_from=None if complete_ms is None else to_time(complete_ms),
        undecoded_blocks=walk.undecoded,
    )


def _series_view(agent: AgentId, channel: Channel, series: Series) -> SeriesView:
    runs = [(clock, sum(1 for _ in run)) for clock, run in groupby(series.clocks)]
    return SeriesView(
        agent=agent,
        device=channel.device,
        point=channel.point,
        unit=channel.unit,
        kind=channel.kind,
        times=[to_time(at_ms) for at_ms in series.times_ms],
        values=series.values,
        qualities=[_QUALITY[quality] for quality in series.qualities],
        clocks=[ClockRun(count, _CLOCK[clock.state], clock.err_ms) for clock, count in runs],
    )
