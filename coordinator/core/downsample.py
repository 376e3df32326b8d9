"""Fewer points for the same stretch of time: which rollups to read, and bands made of them.

A band is what a chart's pixel is: lowest, highest and mean of all readings in it, so that no spike
is lost however far one looks away.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from msgspec.structs import replace

from coordinator.core.buckets import Bucket, merged
from coordinator.core.retime import Sureness
from coordinator.core.rollup import HOUR_MS, HOUR_S, MINUTE_MS, MINUTE_S
from coordinator.core.series import Series
from shared.model.reading import Quality


@dataclass(frozen=True, slots=True)
class Band:
    """A bucket at a moment."""

    start_ms: int
    bucket: Bucket


@dataclass(frozen=True, slots=True)
class Choice:
    """What to read, and how wide a band is."""

    width_s: int
    """Of the rollups; 0: single readings."""
    band_ms: int


def choose(span_ms: int, points: int) -> Choice:
    """Return what shows a stretch of time in at most `points` bands.

    >>> choose(86_400_000, 500).width_s, choose(3_600_000, 500).width_s
    (60, 0)
    """
    # One band more than there is room for would begin before the stretch or end after it.
    least_ms = -(-span_ms // max(1, points - 1))
    if least_ms < MINUTE_MS:
        return Choice(0, max(1, least_ms))
    if least_ms < HOUR_MS:
        return Choice(MINUTE_S, -(-least_ms // MINUTE_MS) * MINUTE_MS)
    return Choice(HOUR_S, -(-least_ms // HOUR_MS) * HOUR_MS)


def banded(bands: Iterable[Band], band_ms: int) -> list[Band]:
    """Return bands as wide as that, for narrower ones in the order of time."""
    found: list[Band] = []
    same: list[Bucket] = []
    start_ms = 0
    for one in bands:
        if same and one.start_ms // band_ms * band_ms != start_ms:
            found.append(Band(start_ms, merged(same, 0)))
            same = []
        start_ms = one.start_ms // band_ms * band_ms
        same.append(one.bucket)
    return [*found, Band(start_ms, merged(same, 0))] if same else found


def bands_of(series: Series, band_ms: int) -> list[Band]:
    """Return the bands of single readings, which are in the order of time."""
    sure = (clock.sureness for clock in series.clocks)
    return banded(map(_band, series.times_ms, series.values, series.qualities, sure), band_ms)


def _band(at_ms: int, value: float | None, mark: int, sureness: Sureness) -> Band:
    measured = value is not None and mark in {Quality.GOOD, Quality.UNCERTAIN}
    used = value if measured and value is not None and abs(value) <= _MOST else None
    empty = Bucket(0, 1, int(mark == Quality.GOOD), 0, sureness, None, None, None)
    if used is None:
        return Band(at_ms, empty)
    return Band(at_ms, replace(empty, used=1, low=used, high=used, total=float(used)))


_MOST = 1.7976931348623157e308
"""The largest double; NaN is not below it either."""
