"""A line of readings drawn with braille dots: 2 x 4 points to a character cell.

Pure: numbers in, lines of text out. Neighbouring readings are joined by a line; a column of dots
that stands for several readings is drawn from their minimum to their maximum, so that no spike is
lost.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""Braille bit of each dot by (row from the top, column); Unicode chapter 21, block U+2800."""
_BLANK = 0x2800


@dataclass(frozen=True, slots=True)
class Line:
    """What is drawn: values over times, and the band around each where there is one."""

    times: Sequence[datetime]
    values: Sequence[float | None]
    """Missing ones leave gaps."""
    lows: Sequence[float | None] = ()
    highs: Sequence[float | None] = ()

    def bands(self) -> Iterator[tuple[datetime, float | None, float, float]]:
        """Yield (time, value, lowest, highest)."""
        for row, (time, value) in enumerate(zip(self.times, self.values, strict=True)):
            low = self.lows[row] if self.lows else value
            high = self.highs[row] if self.highs else value
            missing = value is None or low is None or high is None
            yield (time, None, 0.0, 0.0) if missing else (time, value, low or 0.0, high or 0.0)


def draw(line: Line, *, width: int, height: int) -> list[str]:
    """Return a plot as lines of text, axes included; `width` and `height` count the axes."""
    bands = list(line.bands())
    shown = [edge for _, value, *edges in bands if value is not None for edge in edges]
    if not shown:
        return ["no readings"]
    low, high = min(shown), max(shown)
    labels = [_number(high), _number((low + high) / 2), _number(low)]
    margin = max(len(label) for label in labels) + 2
    columns, rows = max(8, width - margin), max(3, height - 2)
    canvas = [[_BLANK] * columns for _ in range(rows)]
    for column, (bottom, top) in _columns(bands, columns * 2).items():
        upper, lower = (_row(value, low, high, rows * 4) for value in (top, bottom))
        for dot in range(upper, lower + 1):
            canvas[dot // 4][column // 2] |= _DOTS[dot % 4][column % 2]
    marks = {0: labels[0], rows // 2: labels[1], rows - 1: labels[2]}
    lines = [
        f"{marks.get(index, ''):>{margin - 2}} \u2524{''.join(map(chr, row))}"
        for index, row in enumerate(canvas)
    ]
    return [*lines, *_time_axis(line.times[0], line.times[-1], margin, columns)]


def _columns(
    bands: Sequence[tuple[datetime, float | None, float, float]], columns: int
) -> dict[int, tuple[float, float]]:
    """Return the lowest and the highest value to draw in each column of dots."""
    first = bands[0][0].timestamp()
    span = bands[-1][0].timestamp() - first
    found: dict[int, tuple[float, float]] = {}
    before: tuple[int, float] | None = None
    for time, value, low, high in bands:
        if value is None:
            before = None
            continue
        share = (time.timestamp() - first) / span if span > 0 else 0.0
        here = min(columns - 1, max(0, int(share * columns))), float(value)
        points = [*_line(before or here, here), (here[0], low), (here[0], high)]
        for column, height in points:
            bottom, top = found.get(column, (height, height))
            found[column] = (min(bottom, height), max(top, height))
        before = here
    return found


def _line(start: tuple[int, float], end: tuple[int, float]) -> Iterator[tuple[int, float]]:
    """Yield the points of a straight line, one for each column it crosses."""
    width = end[0] - start[0]
    for step in range(1, width):
        yield start[0] + step, start[1] + (end[1] - start[1]) * step / width
    yield end


def _row(value: float, low: float, high: float, rows: int) -> int:
    share = (value - low) / (high - low) if high > low else 0.5
    return round((1 - share) * (rows - 1))


def _time_axis(first: datetime, last: datetime, margin: int, columns: int) -> list[str]:
    left, right = f"{first:%Y-%m-%d %H:%M:%S}", f"{last:%H:%M:%S} UTC"
    if first.date() != last.date():
        right = f"{last:%Y-%m-%d %H:%M:%S} UTC"
    edge = " " * (margin - 1) + "\u2514" + "\u2500" * columns
    gap = max(1, columns - len(left) - len(right))
    return [edge, " " * margin + left + " " * gap + right]


def _number(value: float) -> str:
    return f"{value:.6g}"
