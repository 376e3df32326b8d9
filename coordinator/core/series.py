"""Blocks to series: which readings of stored blocks a question wants, in columns.

Pure and slow: meant for a thread. Leaves out finding the blocks and showing the series
(`coordinator.services.readings`).
"""

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from itertools import chain

from coordinator.core.retime import Sureness
from shared.block.codec import decode
from shared.block.schema import Schema
from shared.errors import RefusedError
from shared.ids import AgentId
from shared.model.reading import Channel, Group, Quality, Value


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Which readings are wanted; empty patterns match everything."""

    agents: Sequence[AgentId] | None
    """In the order of their ids; None: every agent."""
    device: str
    point: str
    start_ms: int
    end_ms: int
    """Exclusive."""
    limit: int
    only_sure: bool = False

    def wants(self, channel: Channel) -> bool:
        """Tell whether a channel's readings are asked for."""
        return _matches(channel.device, self.device) and _matches(channel.point, self.point)


@dataclass(frozen=True, slots=True)
class ClockQuality:
    """How sure the times of one block are."""

    sureness: Sureness
    err_ms: int


@dataclass(frozen=True, slots=True)
class Piece:
    """A stored block on its way into a collection."""

    agent: AgentId
    schema: Schema
    data: bytes
    shift_ms: int
    clock: ClockQuality


@dataclass(slots=True)
class Series:
    """Readings of one channel; the four columns are equally long."""

    times_ms: list[int] = field(default_factory=list)
    values: list[Value] = field(default_factory=list)
    qualities: bytearray = field(default_factory=bytearray)
    clocks: list[ClockQuality] = field(default_factory=list)

    def extend(
        self,
        rows: Sequence[int],
        group: Group,
        column: Sequence[Value],
        quality: bytes,
        piece: Piece,
    ) -> None:
        """Append some rows of one column."""
        self.times_ms.extend(group.times_ms[row] + piece.shift_ms for row in rows)
        self.values.extend(column[row] for row in rows)
        self.qualities.extend(quality[row] for row in rows)
        self.clocks.extend(piece.clock for _ in rows)

    def picked(self, rows: Sequence[int]) -> "Series":
        """Return some rows in a given order."""
        return Series(
            [self.times_ms[row] for row in rows],
            [self.values[row] for row in rows],
            bytearray(self.qualities[row] for row in rows),
            [self.clocks[row] for row in rows],
        )


@dataclass(slots=True)
class Collection:
    """The wanted readings of the blocks seen so far."""

    question: Question
    series: dict[tuple[AgentId, Channel], Series] = field(default_factory=dict)
    unreadable: int = 0
    """Blocks whose bytes say nothing that can be read; rollups put them aside."""

    def __len__(self) -> int:
        """Return how many readings were collected."""
        return sum(len(one.times_ms) for one in self.series.values())

    def add(self, piece: Piece) -> None:
        """Take the wanted readings out of one block; one that cannot be decoded is counted."""
        if self.question.only_sure and piece.clock.sureness is Sureness.UNSYNCED:
            return
        channels = piece.schema.channels
        try:
            groups = decode(piece.data).groups
        except RefusedError:
            self.unreadable += 1
            return
        for group in groups:
            columns = zip(group.channels, group.columns, group.qualities, strict=True)
            for index, column, quality in columns:
                # A schema travels unsigned: it may lack what its blocks refer to.
                if index < len(channels) and self.question.wants(channels[index]):
                    rows = self._rows(group, column, quality, piece.shift_ms)
                    key = piece.agent, channels[index]
                    self.series.setdefault(key, Series()).extend(
                        rows, group, column, quality, piece
                    )

    def oldest_answered_ms(self) -> int | None:
        """Return the time of the newest `limit` readings' oldest, None while there are fewer."""
        if len(self) < self.question.limit:
            return None
        times = chain.from_iterable(one.times_ms for one in self.series.values())
        return heapq.nlargest(self.question.limit, times)[-1]

    def sorted_from(self, from_ms: int) -> dict[tuple[AgentId, Channel], Series]:
        """Return every series from a time on, rows oldest first, empty ones left out."""
        found = {}
        for key, one in self.series.items():
            rows = [row for row, at_ms in enumerate(one.times_ms) if at_ms >= from_ms]
            rows.sort(key=one.times_ms.__getitem__)
            if rows:
                found[key] = one.picked(rows)
        return found

    def _rows(
        self, group: Group, column: Sequence[Value], quality: bytes, shift_ms: int
    ) -> list[int]:
        start_ms, end_ms = self.question.start_ms - shift_ms, self.question.end_ms - shift_ms
        return [
            row
            for row, at_ms in enumerate(group.times_ms)
            if start_ms <= at_ms < end_ms
            and (column[row] is not None or quality[row] != Quality.GOOD)
        ]


def collect(collection: Collection, pieces: Iterable[Piece]) -> int | None:
    """Add blocks to a collection; return `oldest_answered_ms` with them."""
    for piece in pieces:
        collection.add(piece)
    return collection.oldest_answered_ms()


def _matches(name: str, pattern: str) -> bool:
    return pattern in {"", name} or fnmatchcase(name, pattern)
