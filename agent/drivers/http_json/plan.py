"""Which requests read an HTTP device's points: each named one once. Pure."""

from collections.abc import Iterable

from shared.model.http_address import HttpAddress, HttpRequest
from shared.model.point import Point


def address(point: Point) -> HttpAddress:
    """Return where a point lives in an HTTP device."""
    assert isinstance(point.at, HttpAddress), "a driver gets points of its own protocol"
    return point.at


def plan(points: Iterable[Point]) -> dict[HttpRequest, list[Point]]:
    """Return the points by the request that reads them."""
    found: dict[HttpRequest, list[Point]] = {}
    for point in points:
        found.setdefault(address(point).request, []).append(point)
    return found


def frame_bytes(points: Iterable[Point]) -> list[tuple[int, int]]:
    """Return a pair for each request; a network carries its bytes at once, whatever they are."""
    return [(0, 0) for _ in plan(points)]
