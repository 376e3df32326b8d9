"""Readings of any number as a stream: CSV, JSON lines or Parquet, with memory that stays flat.

Walks one agent after the other by the start of its blocks, so the rows of an agent come in the
order of time (blocks longer than a day come first). Owns the columns of a file; pyarrow is
imported when the first Parquet file is asked for. Leaves out what is asked (`coordinator.api`).
"""

import asyncio
import csv
import io
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from types import ModuleType
from typing import Any, Protocol, TypeAlias

import msgspec

from coordinator.contract.common import to_time
from coordinator.contract.readings import FormatText
from coordinator.core.downsample import Choice
from coordinator.core.ports import Store
from coordinator.core.retime import Sureness
from coordinator.core.series import ClockQuality, Collection, Piece, Question
from coordinator.services.readings import (
    CLOCK,
    QUALITY,
    RolledSeries,
    collect_newest,
    collect_rollups,
    find_agents,
    learn,
    stream_rollups,
)
from coordinator.transactions.rollups import After, PlacedBlock, blocks_in
from shared import limits
from shared.block.schema import Schema
from shared.errors import MistakeError
from shared.ids import AgentId
from shared.model.reading import SchemaRef

Row: TypeAlias = tuple[Any, ...]
"""Milliseconds first, then the columns of `RAW_COLUMNS` or `ROLLED_COLUMNS`."""

RAW_COLUMNS = (
    "time",
    "agent",
    "device",
    "point",
    "unit",
    "value",
    "quality",
    "clock",
    "err_ms",
)
ROLLED_COLUMNS = (
    "time",
    "agent",
    "device",
    "point",
    "unit",
    "mean",
    "low",
    "high",
    "count",
    "good",
    "clock",
)
_DIGITS = 20
"""Of the integers in a block: `uint64` and `Counter64` have more than an int64 takes."""
_EXACT = 1 << 53
"""Integers beyond it are no doubles: a Parquet file has them in a column of their own."""


@dataclass(frozen=True, slots=True)
class Format:
    """A form of file."""

    content_type: str
    encoder: Callable[[bool], "Encoder"]
    """Made for minutes and hours (True) or single readings."""


@dataclass(frozen=True, slots=True)
class Export:
    """What a stream is of."""

    question: Question
    choice: Choice
    newest_only: bool
    """Only the newest `question.limit`, instead of everything."""


class Encoder(Protocol):
    """Rows to bytes; the bytes of all calls in their order are the file."""

    def begin(self) -> bytes:
        """Return how the file begins."""

    def add(self, rows: Sequence[Row]) -> bytes:
        """Return some rows, or nothing yet."""

    def end(self) -> bytes:
        """Return how the file ends."""


async def export(store: Store, asked: Export, form: FormatText) -> AsyncIterator[bytes]:
    """Yield a file piece by piece.

    Raises:
        WorldError: the store does not work; the file is incomplete.
    """
    encoder = FORMATS[form].encoder(asked.choice.width_s > 0)
    yield encoder.begin()
    async for rows in _rows(store, asked):
        data = await asyncio.to_thread(encoder.add, rows)
        if data:
            yield data
    yield await asyncio.to_thread(encoder.end)


def require_format(form: FormatText) -> None:
    """Check before the answer begins that a form can be written.

    Raises:
        MistakeError: what it needs is not installed.
    """
    if form == "parquet":
        _arrow()


def _rows(store: Store, asked: Export) -> AsyncIterator[list[Row]]:
    if asked.choice.width_s:
        return _rolled_rows(store, asked)
    return _newest_rows(store, asked) if asked.newest_only else _raw_rows(store, asked.question)


async def _newest_rows(store: Store, asked: Export) -> AsyncIterator[list[Row]]:
    walk = await collect_newest(store, asked.question)
    yield await asyncio.to_thread(rows_of, walk.collection, walk.complete_from_ms())


async def _rolled_rows(store: Store, asked: Export) -> AsyncIterator[list[Row]]:
    choice, question = asked.choice, asked.question
    if asked.newest_only:
        widths = {"width_s": choice.width_s, "band_ms": choice.band_ms}
        series, _ = await collect_rollups(store, question, **widths, begin=None)
        for one in series:
            yield _rolled(one)
        return
    async for one in stream_rollups(store, question, choice.width_s, choice.band_ms):
        yield _rolled(one)


async def _raw_rows(store: Store, question: Question) -> AsyncIterator[list[Row]]:
    agents = question.agents
    if agents is None:
        agents = await find_agents(store, "*", ()) or []
    schemas: dict[tuple[AgentId, SchemaRef], Schema | None] = {}
    for agent in agents:
        held: list[Row] = []
        after: After | None = After()
        while after is not None:
            body = partial(
                blocks_in,
                agent,
                question.start_ms,
                question.end_ms,
                after,
                size=limits.EXPORT_BLOCKS,
            )
            blocks, after = await store.read(body)
            pieces = [
                _piece(agent, schema, block)
                for block in blocks
                if (schema := await learn(store, schemas, agent, block.schema)) is not None
            ]
            until_ms = after.first_ms if after is not None and not after.is_long else None
            ready, held = await asyncio.to_thread(_merge, question, held, pieces, until_ms)
            if ready:
                yield ready
        if held:
            yield held


def _piece(agent: AgentId, schema: Schema, block: PlacedBlock) -> Piece:
    clock = ClockQuality(block.sureness, block.err_ms)
    return Piece(agent, schema, block.data, block.shift_ms, clock)


def _merge(
    question: Question, held: list[Row], pieces: Iterable[Piece], until_ms: int | None
) -> tuple[list[Row], list[Row]]:
    """Return the rows that no later block can come before, and the others."""
    collection = Collection(question)
    for piece in pieces:
        collection.add(piece)
    rows = sorted([*held, *rows_of(collection, None)], key=_in_time)
    if until_ms is None or len(rows) > limits.READINGS:
        return rows, []
    ready = [row for row in rows if row[0] < until_ms]
    return ready, rows[len(ready) :]


def rows_of(collection: Collection, from_ms: int | None) -> list[Row]:
    """Return collected readings as rows in the order of time."""
    rows: list[Row] = []
    first_ms = collection.question.start_ms if from_ms is None else from_ms
    for (agent, channel), series in collection.sorted_from(first_ms).items():
        names = (agent, channel.device, channel.point, channel.unit)
        rows.extend(
            (at_ms, *names, value, QUALITY[mark], CLOCK[clock.sureness], clock.err_ms)
            for at_ms, value, mark, clock in zip(
                series.times_ms, series.values, series.qualities, series.clocks, strict=True
            )
        )
    rows.sort(key=_in_time)
    return rows


def _in_time(row: Row) -> Row:
    return row[:4]


def _rolled(one: RolledSeries) -> list[Row]:
    channel = one.channel
    names = (one.agent, channel.device, channel.point, channel.unit)
    return [
        (
            band.start_ms,
            *names,
            band.bucket.mean,
            band.bucket.low,
            band.bucket.high,
            band.bucket.count,
            band.bucket.good,
            CLOCK[Sureness(band.bucket.sureness)],
        )
        for band in one.bands
    ]


class _Csv:
    """RFC 4180 with line feeds; numbers as Python writes them, which is exact."""

    def __init__(self, rolled: bool) -> None:  # noqa: FBT001  # a factory of two forms
        self._columns = ROLLED_COLUMNS if rolled else RAW_COLUMNS

    def begin(self) -> bytes:
        return (",".join(self._columns) + "\n").encode()

    def add(self, rows: Sequence[Row]) -> bytes:
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerows((_text(row[0]), *row[1:]) for row in rows)
        return out.getvalue().encode()

    def end(self) -> bytes:
        return b""


class _Lines:
    """One JSON object a line."""

    def __init__(self, rolled: bool) -> None:  # noqa: FBT001  # a factory of two forms
        self._columns = ROLLED_COLUMNS if rolled else RAW_COLUMNS
        self._encoder = msgspec.json.Encoder()

    def begin(self) -> bytes:
        return b""

    def add(self, rows: Sequence[Row]) -> bytes:
        return self._encoder.encode_lines(
            dict(zip(self._columns, (_text(row[0]), *row[1:]), strict=True)) for row in rows
        )

    def end(self) -> bytes:
        return b""


class _Parquet:
    """Row groups of `limits.EXPORT_ROW_GROUP`; names are dictionaries, times UTC milliseconds."""

    def __init__(self, rolled: bool) -> None:  # noqa: FBT001  # a factory of two forms
        self._arrow, self._rolled = _arrow(), rolled
        self._schema = _schema(self._arrow, rolled=rolled)
        self._out = io.BytesIO()
        writer: Any = import_module("pyarrow.parquet").ParquetWriter
        self._writer = writer(self._arrow.PythonFile(_Tail(self._out)), self._schema)
        self._rows: list[Row] = []

    def begin(self) -> bytes:
        return self._taken()

    def add(self, rows: Sequence[Row]) -> bytes:
        self._rows.extend(rows)
        while len(self._rows) >= limits.EXPORT_ROW_GROUP:
            self._write(self._rows[: limits.EXPORT_ROW_GROUP])
            del self._rows[: limits.EXPORT_ROW_GROUP]
        return self._taken()

    def end(self) -> bytes:
        if self._rows:
            self._write(self._rows)
        self._writer.close()
        return self._taken()

    def _write(self, rows: Sequence[Row]) -> None:
        columns = [list(column) for column in zip(*rows, strict=True)]
        if not self._rolled:
            columns.append([value if _is_large(value) else None for value in columns[5]])
        for index in (5,) if not self._rolled else (5, 6, 7):
            columns[index] = [None if v is None else float(v) for v in columns[index]]
        table = self._arrow.table(
            dict(zip(self._schema.names, columns, strict=True)), schema=self._schema
        )
        self._writer.write_table(table, row_group_size=limits.EXPORT_ROW_GROUP)

    def _taken(self) -> bytes:
        data = self._out.getvalue()
        self._out.seek(0)
        self._out.truncate()
        return data


class _Tail(io.RawIOBase):
    """A file that is taken away while it is written; it only remembers how long it is."""

    def __init__(self, out: io.BytesIO) -> None:
        self._out, self._size = out, 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._size

    def write(self, data: Any) -> int:  # noqa: ANN401  # any buffer
        self._size += len(data)
        return self._out.write(data)


def _schema(arrow: ModuleType, *, rolled: bool) -> Any:  # noqa: ANN401  # pyarrow's
    name = arrow.dictionary(arrow.int32(), arrow.string())
    kinds = {
        "time": arrow.timestamp("ms", tz="UTC"),
        **dict.fromkeys(("agent", "device", "point", "unit", "quality", "clock"), name),
        **dict.fromkeys(("value", "mean", "low", "high"), arrow.float64()),
        **dict.fromkeys(("err_ms", "count", "good"), arrow.int64()),
        "integer": arrow.decimal128(_DIGITS),
    }
    columns = ROLLED_COLUMNS if rolled else (*RAW_COLUMNS, "integer")
    return arrow.schema([(column, kinds[column]) for column in columns])


def _arrow() -> ModuleType:
    """Return pyarrow.

    Raises:
        MistakeError: it is not installed.
    """
    try:
        return import_module("pyarrow")
    except ImportError:
        raise MistakeError(
            "this coordinator cannot write Parquet",
            where="query.format",
            mend="install its extra: pip install 'outstation[parquet]'; or ask for csv",
        ) from None


def _is_large(value: object) -> bool:
    return isinstance(value, int) and abs(value) > _EXACT


def _text(wall_ms: int) -> str:
    return to_time(wall_ms).isoformat(timespec="milliseconds").replace("+00:00", "Z")


FORMATS: dict[FormatText, Format] = {
    "csv": Format("text/csv; charset=utf-8", _Csv),
    "jsonl": Format("application/jsonl", _Lines),
    "parquet": Format("application/vnd.apache.parquet", _Parquet),
}
