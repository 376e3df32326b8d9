"""One point's registers <-> the value people see, with the doubts the conversion raises.

Owns quality that follows from the number alone (not finite, out of limits, digits lost) and the
checks before a write. Leaves out requests (`plan`, `codec`) and the device's behaviour (`driver`).
"""

import math

from agent.core.ports import PointReading
from agent.drivers.rounding import believable
from shared.errors import MistakeError, Reason
from shared.model.job import Value
from shared.model.profile import Point
from shared.model.reading import Quality


def reading(point: Point, words: list[int]) -> PointReading:
    """Return what a point's registers say.

    A value outside the point's limits is kept and marked; one that is no number is not.
    """
    raw = point.register.decode(words)
    linear = point.linear
    try:
        value = linear.value(raw) if math.isfinite(raw) else None
    except OverflowError:
        value = None
    if value is None:
        return unread(point.name, Reason.VALUE_OUT_OF_RANGE, Quality.BAD_RANGE)
    at = point.register
    if not believable(point, value, lambda number: at.decode(at.encode(number))):
        return PointReading(point.name, value, Quality.BAD_RANGE, Reason.VALUE_OUT_OF_RANGE)
    if isinstance(raw, int) and linear.loses(raw):
        return PointReading(point.name, float(value), Quality.UNCERTAIN)
    return PointReading(point.name, value, Quality.GOOD)


def unread(point: str, reason: Reason, quality: Quality = Quality.BAD_COMM) -> PointReading:
    """Return the reading of a point that gave no value."""
    return PointReading(point, None, quality, reason)


def registers(point: Point, value: Value) -> list[int]:
    """Return the registers that make the point `value`, in engineering units.

    Raises:
        MistakeError: the point is read-only, or it cannot take exactly this value; a floating point
            register takes the nearest number it can hold.
    """
    if not point.writable:
        raise MistakeError("the point is read-only", where=point.name)
    number = _number(point, value)
    if not point.within_limits(number):
        raise MistakeError(f"{number} is outside its limits, {point.limits_text}", where=point.name)
    top, bottom = point.linear.raw(number)
    if point.at.is_float:
        try:
            return point.register.encode(top / bottom)
        except OverflowError:
            raise MistakeError(
                f"{number} is beyond what {point.register.type} can hold", where=point.name
            ) from None
    if top % bottom:
        below, above = sorted(map(point.linear.value, (top // bottom, top // bottom + 1)))
        raise MistakeError(
            f"{number} lies between two counts of the device",
            where=point.name,
            mend=f"write {below} or {above}",
        )
    raw = top // bottom
    low, high = point.register.range
    if not low <= raw <= high:
        first, last = sorted((point.linear.value(low), point.linear.value(high)))
        raise MistakeError(
            f"{number} is beyond {point.register.type}, which goes from {first} to {last}",
            where=point.name,
        )
    return point.register.encode(raw)


def _number(point: Point, value: Value) -> int | float:
    if isinstance(value, bool):
        if point.register.type == "bit":
            return int(value)
        raise MistakeError("true and false are for coils", where=point.name, mend="write a number")
    if isinstance(value, str) or not math.isfinite(value):
        raise MistakeError(f"{value!r} is not a number", where=point.name, mend="write a number")
    return value
