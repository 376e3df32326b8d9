"""Whether a value that a device holds as a float is its limit, as near as the device can come.

Owns that alone; what such a device makes of a number is its driver's (`values`).
"""

from collections.abc import Callable

from shared.model.point import Point

Held = Callable[[float], float | None]
"""Gives what a device makes of a raw number that is written to it.

Raises OverflowError for one that it cannot hold.
"""


def believable(point: Point, value: float, held: Held) -> bool:
    """Tell whether a value lies within its limits, or is as near to one as the device can come."""
    if point.within_limits(value) or not point.at.is_float:
        return point.within_limits(value)
    over = point.maximum is not None and value > point.maximum
    limit = point.maximum if over else point.minimum
    assert limit is not None, "a value outside is beyond a limit"
    top, bottom = point.linear.raw(limit)
    try:
        raw = held(top / bottom)
        return raw is not None and value == point.linear.value(raw)
    except OverflowError:
        return False
