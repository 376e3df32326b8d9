"""Which exchanges read the points of a device that speaks lines, and what they cost. Pure."""

from collections.abc import Iterable
from typing import Final

from shared.model.line_address import LineAddress, LineDialect
from shared.model.point import Point
from shared.model.profile import Profile

_BESIDE_BYTES: Final = 8
"""Start, mark, checksum and end of a line, at most."""
_ANSWER_BYTES: Final = 48
"""Of an answer whose length nobody knows before."""
_SDI12_FRAMES: Final = [(3, 7), (0, 3), (4, 40)]
"""Measure and its answer, the call, data and its answer."""


def address(point: Point) -> LineAddress:
    """Return where a point lives in a line."""
    assert isinstance(point.at, LineAddress), "a driver gets points of its own protocol"
    return point.at


def dialect_of(profile: Profile) -> LineDialect:
    """Return how the lines of a profile's devices are made."""
    dialect = profile.sections["line"]
    assert isinstance(dialect, LineDialect), "the section of such a profile"
    return dialect


def plan(points: Iterable[Point]) -> dict[str, list[Point]]:
    """Return the points by the line that tells of them."""
    found: dict[str, list[Point]] = {}
    for point in points:
        found.setdefault(address(point).source, []).append(point)
    return found


def frame_bytes(profile: Profile) -> list[tuple[int, int]]:
    """Return the bytes of each request and its answer; who listens sends none and fills no line."""
    dialect, sources = dialect_of(profile), plan(profile.polled)
    match dialect.talk:
        case "listen":
            return [(0, 0)]
        case "sdi12":
            return _SDI12_FRAMES * len(sources)
        case "ask":
            sends = {one.name: len(one.send) for one in dialect.requests}
            beside = _BESIDE_BYTES
            return [(sends[name] + beside, _ANSWER_BYTES + beside) for name in sources]
