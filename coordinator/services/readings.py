"""Answers questions about readings: single ones from the blocks as they came, or their rollups.

Walks back in time through the index, decodes in a thread, and stops when older blocks can add
nothing. Leaves out the choice of rows (`coordinator.core.series`), answers of any size
(`coordinator.services.export`) and HTTP.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import partial
from itertools import groupby

from coordinator.contract.common import to_time
from coordinator.contract.readings import ClockRun, ClockText, QualityText, ReadingsView, SeriesView
from coordinator.core.downsample import Band, banded, bands_of
from coordinator.core.ports import Store
from coordinator.core.retime import Sureness
from coordinator.core.series import ClockQuality, Collection, Piece, Question, Series, collect
from coordinator.transactions.readings import (
    Cursor,
    StoredBlock,
    agents_matching,
    blocks_between,
    channels_of,
    first_cursor,
    load_schema,
    rollup_rows,
)
from shared import limits
from shared.block.schema import Schema
from shared.ids import AgentId
from shared.model.reading import Channel, Quality, SchemaRef
from shared.model.selector import Selector

QUALITY: dict[int, QualityText] = {
    Quality.GOOD: "good",
    Quality.UNCERTAIN: "uncertain",
    Quality.BAD_COMM: "bad_comm",
    Quality.BAD_RANGE: "bad_range",
    Quality.STALE: "stale",
}
CLOCK: dict[Sureness, ClockText] = {
    Sureness.UNSYNCED: "unsynced",
    Sureness.HOLDOVER: "holdover",
    Sureness.ANCHORED: "anchored",
    Sureness.SYNCED: "synced",
}
_ROWS = 128
"""Rows of rollups fetched at a time: five days of minutes, or four months of hours."""


@dataclass(slots=True)
class Walk:
    """One question on its way back through the blocks."""

    collection: Collection
    cursor: Cursor
    scanned: int = 0
    undecoded: int = 0
    more: bool = True
    oldest_ms: int | None = None
    """Of the newest `limit` readings found so far."""
    schemas: dict[tuple[AgentId, SchemaRef], Schema | None] = field(default_factory=dict)

    def is_done(self) -> bool:
        """Tell whether older blocks can add nothing, or are too many to look at."""
        if not self.more:
            return True
        reached_ms, asked = self.cursor.last_ms, self.collection.question
        complete = self.oldest_ms is not None and reached_ms < self.oldest_ms
        # Giving up before the end of what was asked would answer nothing, and so for ever.
        tired = self.scanned >= limits.READING_BLOCKS_SCANNED and reached_ms < asked.end_ms
        return complete or tired

    @property
    def is_unread(self) -> bool:
        """Tell whether there are older blocks that were not looked at."""
        return self.more and self.cursor.last_ms >= self.collection.question.start_ms

    def complete_from_ms(self) -> int | None:
        """Return from when on nothing is missing, None when everything is there."""
        if self.oldest_ms is None and self.is_unread:
            # The scan was given up: what is complete begins after the last block that was seen.
            return self.cursor.last_ms + 1
        return self.oldest_ms


@dataclass(frozen=True, slots=True)
class Place:
    """Where an answer of rollups goes on."""

    agent: str
    channel: int
    start_ms: int


@dataclass(frozen=True, slots=True)
class RolledSeries:
    """Minutes, hours or bands of one channel, oldest first."""

    agent: AgentId
    channel: Channel
    bands: Sequence[Band]


async def find_agents(
    store: Store, pattern: str, selectors: Sequence[Selector]
) -> list[AgentId] | None:
    """Return the agents that are asked for, in the order of their ids; None: every one."""
    if not selectors and not pattern:
        return None
    if not selectors and not set(pattern) & set("*?["):
        return [AgentId(pattern)]
    found: list[AgentId] = []
    after = ""
    while True:
        some, after = await store.read(partial(agents_matching, selectors, after=after))
        found += [agent for agent in some if not pattern or fnmatchcase(agent, pattern)]
        if not after:
            return found


async def collect_newest(store: Store, question: Question) -> Walk:
    """Return the newest readings that match, and how far back they are complete.

    Raises:
        WorldError: the store does not work.
    """
    walk = Walk(Collection(question), await store.read(partial(first_cursor, question.end_ms)))
    while not walk.is_done():
        await _step(store, walk)
    return walk


async def _step(store: Store, walk: Walk) -> None:
    question = walk.collection.question
    body = partial(
        blocks_between,
        question.agents,
        start_ms=question.start_ms,
        end_ms=question.end_ms,
        before=walk.cursor,
        size=limits.READING_BLOCKS,
    )
    found = await store.read(body)
    walk.more, walk.cursor = found.more, found.cursor
    walk.scanned += found.scanned
    known = []
    for block in found.blocks:
        schema = await learn(store, walk.schemas, block.agent, block.schema)
        if schema is None:
            walk.undecoded += 1
        elif any(map(question.wants, schema.channels)):
            known.append(_piece(block, schema))
    walk.oldest_ms = await asyncio.to_thread(collect, walk.collection, known)


def _piece(block: StoredBlock, schema: Schema) -> Piece:
    clock = ClockQuality(block.sureness, block.err_ms)
    return Piece(block.agent, schema, block.data, block.shift_ms, clock)


async def learn(
    store: Store,
    schemas: dict[tuple[AgentId, SchemaRef], Schema | None],
    agent: AgentId,
    ref: SchemaRef,
) -> Schema | None:
    """Return a channel list, read once; None while it is unknown."""
    key = agent, ref
    if key not in schemas:
        data = await store.read(partial(load_schema, agent, ref))
        schemas[key] = None if data is None else Schema.decode(data)
    return schemas[key]


def view_walk(walk: Walk) -> ReadingsView:
    """Return the answer of single readings; slow, meant for a thread."""
    question, from_ms = walk.collection.question, walk.complete_from_ms()
    series = walk.collection.sorted_from(question.start_ms if from_ms is None else from_ms)
    shown = sum(len(one.times_ms) for one in series.values())
    first_ms = min((one.times_ms[0] for one in series.values()), default=None)
    complete_ms = first_ms if from_ms is None else from_ms
    order = sorted(series, key=lambda key: (key[0], key[1].device, key[1].point, key[1].unit))
    return ReadingsView(
        series=[_series_view(*key, series[key]) for key in order],
        readings=shown,
        truncated=walk.is_unread or shown < len(walk.collection),
        complete_from=None if complete_ms is None else to_time(complete_ms),
        undecoded_blocks=walk.undecoded + walk.collection.unreadable,
    )


def bands_of_walk(walk: Walk, band_ms: int) -> list[RolledSeries]:
    """Return single readings as bands; slow, meant for a thread."""
    series = walk.collection.sorted_from(walk.collection.question.start_ms)
    return [RolledSeries(*key, bands_of(one, band_ms)) for key, one in series.items()]


async def collect_rollups(
    store: Store, question: Question, *, width_s: int, band_ms: int, begin: Place | None
) -> tuple[list[RolledSeries], Place | None]:
    """Return bands of rollups, series by series, up to the question's limit; and where to go on.

    Raises:
        WorldError: the store does not work.
    """
    found: list[RolledSeries] = []
    left = question.limit
    async for agent, number, channel in _channels(store, question, begin):
        start_ms = question.start_ms
        if begin is not None and (begin.agent, begin.channel) == (agent, number):
            start_ms = max(start_ms, begin.start_ms)
        widths = (width_s, band_ms)
        async for bands in _read_bands(store, question, (agent, number), start_ms, widths):
            some = bands[:left]
            left -= len(some)
            if some:
                found.append(RolledSeries(agent, channel, some))
            if left == 0:
                next_ms = some[-1].start_ms + band_ms if some else start_ms
                return _joined(found), Place(agent, number, next_ms)
    return _joined(found), None


async def stream_rollups(
    store: Store, question: Question, width_s: int, band_ms: int
) -> AsyncIterator[RolledSeries]:
    """Yield all bands of rollups, series by series, in portions."""
    async for agent, number, channel in _channels(store, question, None):
        widths = (width_s, band_ms)
        portions = _read_bands(store, question, (agent, number), question.start_ms, widths)
        async for bands in portions:
            if bands:
                yield RolledSeries(agent, channel, bands)


async def _channels(
    store: Store, question: Question, begin: Place | None
) -> AsyncIterator[tuple[AgentId, int, Channel]]:
    agents = question.agents
    if agents is None:
        agents = await find_agents(store, "*", ()) or []
    for agent in agents:
        if begin is not None and agent < begin.agent:
            continue
        for one in await store.read(partial(channels_of, agent)):
            passed = begin is not None and agent == begin.agent and one.number < begin.channel
            if not passed and question.wants(one.channel):
                yield agent, one.number, one.channel


async def _read_bands(
    store: Store,
    question: Question,
    key: tuple[AgentId, int],
    start_ms: int,
    widths: tuple[int, int],
) -> AsyncIterator[list[Band]]:
    """Yield the bands of one channel in portions that hold whole bands."""
    width_s, band_ms = widths
    held: list[Band] = []
    position: int | None = start_ms
    while position is not None:
        body = partial(
            rollup_rows,
            *key,
            width_s,
            start_ms=position,
            end_ms=question.end_ms,
            size=_ROWS,
        )
        rows, position = await store.read(body)
        held += [
            Band(at_ms, bucket)
            for at_ms, bucket in rows
            if not question.only_sure or bucket.sureness is not Sureness.UNSYNCED
        ]
        wide = held if band_ms == width_s * 1000 else banded(held, band_ms)
        if position is None:
            yield wide
        elif wide:
            last_ms = wide[-1].start_ms
            yield wide[:-1]
            held = [band for band in held if band.start_ms >= last_ms]


def _joined(series: Sequence[RolledSeries]) -> list[RolledSeries]:
    """Return one series for the portions of each channel."""
    return [
        RolledSeries(*key, [band for one in portions for band in one.bands])
        for key, portions in groupby(series, key=lambda one: (one.agent, one.channel))
    ]


def view_rolled(one: RolledSeries) -> SeriesView:
    """Return minutes, hours or bands of a channel."""
    buckets = [band.bucket for band in one.bands]
    runs = groupby(bucket.sureness for bucket in buckets)
    return SeriesView(
        agent=one.agent,
        device=one.channel.device,
        point=one.channel.point,
        unit=one.channel.unit,
        kind=one.channel.kind,
        times=[to_time(band.start_ms) for band in one.bands],
        values=[bucket.mean for bucket in buckets],
        qualities=[],
        clocks=[ClockRun(sum(1 for _ in run), CLOCK[sure], 0) for sure, run in runs],
        lows=[bucket.low for bucket in buckets],
        highs=[bucket.high for bucket in buckets],
        counts=[bucket.count for bucket in buckets],
        goods=[bucket.good for bucket in buckets],
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
        qualities=[QUALITY[quality] for quality in series.qualities],
        clocks=[ClockRun(count, CLOCK[clock.sureness], clock.err_ms) for clock, count in runs],
        reduction=_reduction(channel),
    )


def _reduction(channel: Channel) -> str:
    told = channel.reduction
    if told is None:
        return ""
    return f"{told.between} {told.bound:g}{' %' if told.percent else ''}"
