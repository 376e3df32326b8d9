"""One point's raw count <-> the value people see, where a device writes its counts as text.

Owns quality that follows from the number alone and the checks before a write, for the drivers whose
counts are whole numbers and doubles. Leaves out registers and bytes, which have doubts of their own
(`agent.drivers.modbus.values`, `agent.drivers.smp.values`), and requests.
"""

import math
from collections.abc import Mapping, Sequence

from agent.core.ports import PointReading
from shared.errors import MistakeError, Reason
from shared.ids import DeviceId
from shared.model.job import Value
from shared.model.point import Point
from shared.model.profile import Profile
from shared.model.reading import Quality


def reading(point: Point, raw: float | None) -> PointReading:
    """Return what a raw count says; None: the text there says no count of the point's type."""
    no_value = unread(point.name, Reason.VALUE_OUT_OF_RANGE, Quality.BAD_RANGE)
    return no_value if raw is None else _reading(point, raw, no_value)


def _reading(point: Point, raw: float, no_value: PointReading) -> PointReading:
    try:
        value = point.linear.value(raw) if math.isfinite(raw) else None
    except OverflowError:
        value = None
    if value is None:
        return no_value
    if not point.within_limits(value):
        return PointReading(point.name, value, Quality.BAD_RANGE, Reason.VALUE_OUT_OF_RANGE)
    if isinstance(raw, int) and point.linear.loses(raw):
        return PointReading(point.name, float(value), Quality.UNCERTAIN)
    return PointReading(point.name, value, Quality.GOOD)


def unread(point: str, reason: Reason, quality: Quality = Quality.BAD_COMM) -> PointReading:
    """Return the reading of a point that gave no value."""
    return PointReading(point, None, quality, reason)


def failed(points: Sequence[Point], reason: Reason | None) -> dict[str, PointReading]:
    """Return readings without values, for a whole request's points."""
    assert reason is not None, "a reading without a value says why"
    return {point.name: unread(point.name, reason) for point in points}


def raws(
    profile: Profile, device: DeviceId, values: Mapping[str, Value]
) -> list[tuple[Point, int | float]]:
    """Return every point that is to be written with its raw count, before anything is sent.

    Raises:
        MistakeError: unknown or read-only point, or a value that it cannot take.
    """
    found: list[tuple[Point, int | float]] = []
    for name, value in values.items():
        point = profile.point(name)
        if point is None:
            raise MistakeError(
                f"profile {profile.name} has no point {name[:60]!r}", where=f"device {device}"
            )
        found.append((point, _raw(point, value)))
    return found


def expected(
    profile: Profile, device: DeviceId, values: Mapping[str, Value]
) -> dict[str, int | float]:
    """Return what reading back gives where a count is read as it was written.

    Raises:
        MistakeError: as `raws`.
    """
    found: dict[str, int | float] = {}
    for point, raw in raws(profile, device, values):
        value = reading(point, raw).value
        assert value is not None, "what can be written reads"
        found[point.name] = value
    return found


def _raw(point: Point, value: Value) -> int | float:
    if not point.writable:
        raise MistakeError("the point is read-only", where=point.name)
    number = _number(point, value)
    if not point.within_limits(number):
        what = f"{number} is outside its limits, {point.limits_text}"
        raise MistakeError(what, where=point.name)
    top, bottom = point.linear.raw(number)
    if point.at.is_float:
        try:
            return top / bottom
        except OverflowError:
            raise MistakeError(f"{number} is beyond any double", where=point.name) from None
    low_raw, high_raw = point.at.range
    if top % bottom or not low_raw <= top // bottom <= high_raw:
        what = f"{number} is no whole count from {low_raw} to {high_raw}"
        raise MistakeError(what, where=point.name)
    return top // bottom


def _number(point: Point, value: Value) -> int | float:
    if isinstance(value, bool) and point.at.is_bit:
        return int(value)
    if isinstance(value, bool | str) or not math.isfinite(value):
        raise MistakeError(f"{value!r} is not a number", where=point.name, mend="write a number")
    return value
