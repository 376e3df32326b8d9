"""Which requests read an SNMP device's points: as many objects in each as it takes. Pure."""

from collections.abc import Iterator, Sequence

from shared.model.point import Point
from shared.model.profile import Profile
from shared.model.snmp_address import SnmpAddress, SnmpDialect


def address(point: Point) -> SnmpAddress:
    """Return where a point lives in an SNMP device."""
    assert isinstance(point.at, SnmpAddress), "a driver gets points of its own protocol"
    return point.at


def dialect_of(profile: Profile) -> SnmpDialect:
    """Return what a profile says of its agents."""
    dialect = profile.sections["snmp"]
    assert isinstance(dialect, SnmpDialect), "the section of such a profile"
    return dialect


def plan(points: Sequence[Point], most: int) -> Iterator[Sequence[Point]]:
    """Yield the points by the request that reads them, in order."""
    for start in range(0, len(points), most):
        yield points[start : start + most]


def frame_bytes(profile: Profile) -> list[tuple[int, int]]:
    """Return a pair for each request; a network carries its bytes at once, whatever they are."""
    return [(0, 0) for _ in plan(profile.polled, dialect_of(profile).max_oids)]
