"""Which requests read an SMP device's points, and what they cost a line.

A statistics group comes whole with one request, a setting with one of its own. Pure, and without
CBOR: a configuration is judged before the first device is spoken to.
"""

from collections.abc import Iterable

from shared.model.point import Point
from shared.model.smp_address import SmpAddress, SmpPlace

_REQUEST_BYTES = 18
"""Header, a map of one, its key, the value's head; the name comes to it."""
_ANSWER_BYTES = 32
"""The same and the map of fields; each field comes to it."""
_FIELD_BYTES = 7
"""A field's head and a count of four bytes with its own; the name comes to it."""
_PIECE_BYTES, _LINE_BYTES = 93, 127
"""Of a packet in one console line, and that line."""


def plan(points: Iterable[Point]) -> dict[tuple[SmpPlace, str], list[Point]]:
    """Return the points by the request that reads them."""
    found: dict[tuple[SmpPlace, str], list[Point]] = {}
    for point in points:
        assert isinstance(point.at, SmpAddress), "a driver gets points of its own protocol"
        found.setdefault((point.at.place, point.at.name), []).append(point)
    return found


def frame_bytes(points: Iterable[Point]) -> list[tuple[int, int]]:
    """Return the bytes on a console of each request and its answer, rounded up to whole lines."""
    frames: list[tuple[int, int]] = []
    for (_, name), group in plan(points).items():
        fields = (point.at.field for point in group if isinstance(point.at, SmpAddress))
        answer = _ANSWER_BYTES + len(name) + sum(_FIELD_BYTES + len(field) for field in fields)
        frames.append((_lines(_REQUEST_BYTES + len(name)), _lines(answer)))
    return frames


def _lines(size: int) -> int:
    return -(-size // _PIECE_BYTES) * _LINE_BYTES
