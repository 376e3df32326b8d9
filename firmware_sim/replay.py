"""Recorded measurements instead of made-up ones: a CSV file, played again and again.

The first column is `unix_ms`, the others are measurements in the points' units. A row holds until
the next one's time; an empty cell keeps what stood before; after the last row it starts over.
Owns the file format and the mapping of columns to points. Leaves out what a point shows else.
"""

import csv
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from firmware_sim.model import Model, Point
from shared import limits
from shared.errors import MistakeError


@dataclass(frozen=True, slots=True)
class Recording:
    """The columns of a file, ordered by time."""

    source: str
    times_ms: "array[int]"
    columns: Mapping[str, "array[float]"]
    """NaN until the first value of a column."""

    @property
    def period_ms(self) -> int:
        """Return the time after which it starts over: its length and one mean interval."""
        span_ms = self.times_ms[-1] - self.times_ms[0]
        return max(1, span_ms + span_ms // max(1, len(self.times_ms) - 1))


@dataclass(frozen=True, slots=True)
class Replay:
    """A recording's columns bound to points of one model."""

    recording: Recording
    column_of_point: Mapping[str, str]

    def at(self, point: str, elapsed_s: float) -> float | None:
        """Return what a point showed `elapsed_s` seconds into the recording; None if nothing."""
        column = self.column_of_point.get(point)
        if column is None:
            return None
        times = self.recording.times_ms
        moment_ms = times[0] + int(elapsed_s * 1000.0) % self.recording.period_ms
        value = self.recording.columns[column][bisect_right(times, moment_ms) - 1]
        return None if value != value else value  # noqa: PLR0124 - NaN is not equal to itself


def read_recording(path: Path) -> Recording:
    """Return the recording in a CSV file; rows may stand in any order.

    Raises:
        MistakeError: names the line that cannot be used.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            return _parse(csv.reader(file), str(path))
    except OSError as error:
        raise MistakeError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise MistakeError("not a UTF-8 text", where=str(path)) from None
    except csv.Error as error:
        raise MistakeError(f"not a CSV file: {error}", where=str(path)) from None


def _parse(rows: Iterable[list[str]], source: str) -> Recording:
    numbered = enumerate(rows, start=1)
    header = [name.strip() for name in next(numbered, (1, []))[1]]
    where = f"{source}, line 1"
    if len(header) < 2 or header[0] != "unix_ms":
        raise MistakeError(
            "the first line must name the columns and start with unix_ms",
            where=where,
            mend="like unix_ms,pressure,flow",
        )
    if len(set(header)) != len(header):
        raise MistakeError("two columns have the same name", where=where)
    table: list[tuple[int, list[float]]] = []
    for line, row in numbered:
        if not row:
            continue
        if len(row) != len(header):
            raise MistakeError(
                f"{len(row)} cells under {len(header)} columns", where=f"{source}, line {line}"
            )
        if (len(table) + 1) * len(header) > limits.REPLAY_CELLS:
            raise MistakeError(f"more than {limits.REPLAY_CELLS} cells", where=source)
        table.append(_row(row, f"{source}, line {line}"))
    if not table:
        raise MistakeError("no rows under the column names", where=source)
    table.sort(key=lambda row: row[0])
    return _columnar(source, header[1:], table)


def _row(row: Sequence[str], where: str) -> tuple[int, list[float]]:
    try:
        time_ms = int(row[0])
    except ValueError:
        raise MistakeError(
            f"{row[0]!r} is not a time", where=where, mend="unix_ms is a whole number"
        ) from None
    if not 0 <= time_ms <= limits.INT_MAX:
        raise MistakeError(f"{time_ms} is not a time in milliseconds", where=where)
    cells: list[float] = []
    for cell in row[1:]:
        try:
            cells.append(float(cell) if cell.strip() else float("nan"))
        except ValueError:
            raise MistakeError(f"{cell!r} is not a number", where=where) from None
    return time_ms, cells


def _columnar(
    source: str, names: Sequence[str], table: Sequence[tuple[int, list[float]]]
) -> Recording:
    columns = {name: array("d") for name in names}
    last = [float("nan")] * len(names)
    for _, cells in table:
        last = [old if new != new else new for old, new in zip(last, cells, strict=True)]  # noqa: PLR0124
        for name, value in zip(names, last, strict=True):
            columns[name].append(value)
    return Recording(source, array("q", (time_ms for time_ms, _ in table)), columns)


def bind(recording: Recording, model: Model, chosen: Mapping[str, str] | None = None) -> Replay:
    """Return the recording as a source for a model's input points.

    `chosen` maps points to columns. Without it columns go to the points of the same name, and if
    no name fits, to the points in the order of their registers.

    Raises:
        MistakeError: `chosen` names a point or a column that is not there.
    """
    if chosen:
        for name, column in chosen.items():
            if not _replayable(model.expect(name)):
                raise MistakeError(
                    f"{name} cannot be replayed", mend="choose a measured input point"
                )
            if column not in recording.columns:
                raise MistakeError(
                    f"no column {column!r}",
                    where=recording.source,
                    mend=f"it has {', '.join(recording.columns)}",
                )
        return Replay(recording, dict(chosen))
    points = [point.name for point in model.points if _replayable(point)]
    named = {name: name for name in points if name in recording.columns}
    return Replay(recording, named or dict(zip(points, recording.columns, strict=False)))


def _replayable(point: Point) -> bool:
    return not point.is_setting and not point.is_poll_count
