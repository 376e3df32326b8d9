"""A line of readings drawn with braille dots: 2 x 4 points to a character cell.

Pure: numbers in, lines of text out. Neighbouring readings are joined by a line; a column of dots
that stands for several readings is drawn from their minimum to their maximum, so that no spike is
lost.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime

_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""Braille bit of each dot by (row from the top, column); Unicode chapter 21, block U+2800."""
_BLANK = 0x2800


def draw(
    times: Sequence[datetime], values: Sequence[float | None], *, width: int, height: int
) -> list[str]:
    """Return a plot of `values` over `times` as text lines, axes included.

    Missing values leave gaps. `width` and `height` are in characters and count the axes.
    """
    shown = [float(value) for value in values if value is not None]
    if not shown:
        return ["no readings"]
    low, high = min(shown), max(shown)
    labels = [_number(high), _number((low + high) / 2), _number(low)]
    margin = max(len(label) for label in labels) + 2
    columns, rows = max(8, width - margin), max(3, height - 2)
    canvas = [[_BLANK] * columns for _ in range(rows)]
    for column, (bottom, top) in _bands(times, values, columns * 2).items():
        upper, lower = (_row(value, low, high, rows * 4) for value in (top, bottom))
        for dot in range(upper, lower + 1):
            canvas[dot // 4][column // 2] |= _DOTS[dot % 4][column % 2]
    marks = {0: labels[0], rows // 2: labels[1], rows - 1: labels[2]}
    lines = [
        f"{marks.get(index, ''):>{margin - 2}} \u2524{''.join(map(chr, row))}"
        for index, row in enumerate(canvas)
    ]
    return [*lines, *_time_axis(times[0], times[-1], margin, columns)]


def _bands(
    times: Sequence[datetime], values: Sequence[float | None], columns: int
) -> dict[int, tuple[float, float]]:
    """Return the lowest and the highest value to draw in each column of dots."""
    first = times[0].timestamp()
    span = times[-1].timestamp() - first
    bands: dict[int, tuple[float, float]] = {}
    before: tuple[int, float] | None = None
    for time, value in zip(times, values, strict=True):
        if value is None:
            before = None
            continue
        share = (time.timestamp() - first) / span if span > 0 else 0.0
        here = min(columns - 1, max(0, int(share * columns))), float(value)
        for column, height in _line(before or here, here):
            bottom, top = bands.get(column, (height, height))
            bands[column] = (min(bottom, height), max(top, height))
        before = here
    return bands


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
    left, right = f"{first:%Y-%m-%d %H:%M:%S}", f"{last:%H:%M:%S}"
    if first.date() != last.date():
        right = f"{last:%Y-%m-%d %H:%M:%S}"
    edge = " " * (margin - 1) + "\u2514" + "\u2500" * columns
    gap = max(1, columns - len(left) - len(right))
    return [edge, " " * margin + left + " " * gap + right]


def _number(value: float) -> str:
    return f"{value:.6g}"
