"""One point's raw count <-> the value people see, for statistics and settings.

Owns quality that follows from the number alone and the checks before a write. Leaves out requests
(`client`, `driver`).
"""

import math

from agent.core.ports import PointReading
from agent.drivers.rounding import believable
from shared.errors import MistakeError, Reason
from shared.model.job import Value
from shared.model.point import Point
from shared.model.reading import Quality
from shared.model.smp_address import SmpAddress


def address(point: Point) -> SmpAddress:
    """Return where a point lives in an SMP device."""
    assert isinstance(point.at, SmpAddress), "a driver gets points of its own protocol"
    return point.at


def statistic(point: Point, number: object) -> PointReading:
    """Return what a field of a statistics group says."""
    if isinstance(number, bool) or not isinstance(number, int):
        return unread(point.name, Reason.POINT_UNKNOWN)
    count = address(point).counted(number)
    if count is None:
        return unread(point.name, Reason.VALUE_OUT_OF_RANGE, Quality.BAD_RANGE)
    return _reading(point, count)


def setting(point: Point, data: bytes) -> PointReading:
    """Return what a setting's bytes say."""
    raw = address(point).decode(data)
    if raw is None or not math.isfinite(raw):
        return unread(point.name, Reason.VALUE_OUT_OF_RANGE, Quality.BAD_RANGE)
    return _reading(point, raw)


def unread(point: str, reason: Reason, quality: Quality = Quality.BAD_COMM) -> PointReading:
    """Return the reading of a point that gave no value."""
    return PointReading(point, None, quality, reason)


def encoded(point: Point, value: Value) -> bytes:
    """Return the bytes of a setting that make the point `value`, in engineering units.

    Raises:
        MistakeError: the point is read-only, or it cannot take this value.
    """
    if not point.writable:
        raise MistakeError("the point is read-only", where=point.name)
    if isinstance(value, bool | str) or not math.isfinite(value):
        raise MistakeError(f"{value!r} is not a number", where=point.name, mend="write a number")
    if not point.within_limits(value):
        what = f"{value} is outside its limits, {point.limits_text}"
        raise MistakeError(what, where=point.name)
    top, bottom = point.linear.raw(value)
    at = address(point)
    try:
        if at.is_float:
            return at.encode(top / bottom)
    except OverflowError:
        what = f"{value} is beyond what {at.type} can hold"
        raise MistakeError(what, where=point.name) from None
    low, high = at.range
    if top % bottom or not low <= top // bottom <= high:
        raise MistakeError(
            f"{value} is no whole count of {at.type}, which goes from {low} to {high}",
            where=point.name,
        )
    return at.encode(top // bottom)


def _reading(point: Point, raw: float) -> PointReading:
    value = point.linear.value(raw)
    at = address(point)
    if not believable(point, value, lambda number: at.decode(at.encode(number))):
        return PointReading(point.name, value, Quality.BAD_RANGE, Reason.VALUE_OUT_OF_RANGE)
    if isinstance(raw, int) and point.linear.loses(raw):
        return PointReading(point.name, float(value), Quality.UNCERTAIN)
    return PointReading(point.name, value, Quality.GOOD)
