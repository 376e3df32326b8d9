"""A line of readings drawn with braille dots: 2 x 4 points to a character cell.

Pure: numbers in, lines of text out. A column of dots that stands for several readings is drawn
from their minimum to their maximum, so that no spike is lost.
"""

from collections.abc import Sequence
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
    points = [(t, float(v)) for t, v in zip(times, values, strict=True) if v is not None]
    if not points:
        return ["no readings"]
    low, high = min(v for _, v in points), max(v for _, v in points)
    labels = [_number(high), _number((low + high) / 2), _number(low)]
    margin = max(len(label) for label in labels) + 2
    columns, rows = max(8, width - margin), max(3, height - 2)
    canvas = [[_BLANK] * columns for _ in range(rows)]
    for column, (bottom, top) in _bands(points, columns * 2).items():
        upper, lower = (_row(value, low, high, rows * 4) for value in (top, bottom))
        for dot in range(upper, lower + 1):
            canvas[dot // 4][column // 2] |= _DOTS[dot % 4][column % 2]
    marks = {0: labels[0], rows // 2: labels[1], rows - 1: labels[2]}
    lines = [
        f"{marks.get(index, ''):>{margin - 2}} \u2524{''.join(map(chr, row))}"
        for index, row in enumerate(canvas)
    ]
    return [*lines, *_time_axis(points[0][0], points[-1][0], margin, columns)]


def _bands(
    points: Sequence[tuple[datetime, float]], columns: int
) -> dict[int, tuple[float, float]]:
    first = points[0][0].timestamp()
    span = points[-1][0].timestamp() - first
    bands: dict[int, tuple[float, float]] = {}
    for time, value in points:
        share = (time.timestamp() - first) / span if span > 0 else 0.0
        column = min(columns - 1, max(0, int(share * columns)))
        bottom, top = bands.get(column, (value, value))
        bands[column] = (min(bottom, value), max(top, value))
    return bands


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
