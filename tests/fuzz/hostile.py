"""Hostile inputs: real ones with bytes, or values, that do not belong there.

Edits of bytes find what the framing overlooks. Exchanged values are packed canonically again, so
they reach what comes after: types, bounds, relations between fields.
"""

from collections.abc import Callable, Sequence
from copy import deepcopy
from functools import partial
from typing import Any

import msgpack
from hypothesis import strategies as st

from shared import limits
from tests.fuzz.targets import Target

TOKENS = (
    *(bytes([first]) for first in range(0xC0, 0xE0)),
    *(b"\x80", b"\x90", b"\xa0", b"\x91" * 40, b"\x81\xa0" * 40, b"\xff", b"\x7f", b"\x00" * 9),
    *(b"\xdc\x0f\xff", b"\xdd\xff\xff\xff\xff", b"\xde\x01\x00", b"\xdf\xff\xff\xff\xff"),
    *(b"\xc6\xff\xff\xff\xff", b"\xdb\xff\xff\xff\xff", b"\xcf" + b"\xff" * 8),
    *(b"\xcb\x7f\xf8" + bytes(6), b"\xcb\x80" + bytes(7), b"\xd3\x80" + bytes(7), b"\xca" * 5),
)
"""Bytes that mean something to msgpack, to LEB128 and to a reader of fixed numbers."""

VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 255, 256, 65_536, limits.INT_MAX, limits.INT_MAX + 1),
    *(-limits.INT_MAX, -limits.INT_MAX - 1, 2**63 - 1, -(2**63), 2**64 - 1),
    *(0.5, 1e308, -0.0, float("nan"), float("inf")),
    *("", "a", "A B", "../x", "x" * 200, "\x00", "é", "site=north", "site in (", "number"),
    *(b"", b"x", bytes(8), bytes(16), bytes(32), bytes(33), b"\x90", b"\x80" * 300),
    *([], [[]], [0], [0] * 70, [[1, 0]], [["", b""]], {}, {"": 0}, {"a": {}}, {"x" * 60: [1]}),
)

Edit = tuple[str, int, int, bytes]
_edits = st.lists(
    st.tuples(
        st.sampled_from(["flip", "cut", "insert", "replace", "repeat", "tail"]),
        st.integers(0, 1 << 16),
        st.integers(1, 255),
        st.one_of(st.sampled_from(TOKENS), st.binary(max_size=6)),
    ),
    min_size=1,
    max_size=4,
)
_swaps = st.lists(
    st.tuples(st.integers(0, 1 << 16), st.sampled_from(VALUES)), min_size=1, max_size=3
)


def hostile(target: Target) -> st.SearchStrategy[bytes]:
    """Return a strategy of inputs for a target."""
    seeds = st.sampled_from(list(target.seeds()))
    kinds = [st.builds(_edited, seeds, _edits), st.binary(max_size=400)]
    if target.packed:
        kinds += [st.builds(_swapped, seeds, _swaps)] * 2
    return st.one_of(kinds)


def _edited(seed: bytes, edits: Sequence[Edit]) -> bytes:
    data = seed
    for kind, place, number, token in edits:
        at = place % (len(data) + 1)
        end = min(len(data), at + number)
        match kind:
            case "flip" if at < len(data):
                data = data[:at] + bytes([data[at] ^ number]) + data[at + 1 :]
            case "cut":
                data = data[:at] + data[end:]
            case "insert":
                data = data[:at] + token + data[at:]
            case "replace":
                data = data[:at] + token + data[at + len(token) :]
            case "repeat":
                data = data[:end] + data[at:end] * (number % 5) + data[end:]
            case "tail":
                data = data[:at]
            case _:
                pass
    return data


def _swapped(seed: bytes, swaps: Sequence[tuple[int, Any]]) -> bytes:
    plain = msgpack.unpackb(seed, strict_map_key=False)
    for place, value in swaps:
        places = list(places_of(plain))
        if places:
            # A copy: a later swap may reach inside it.
            places[place % len(places)](deepcopy(value))
    packed: bytes = msgpack.packb(plain, use_bin_type=True)
    return packed


def places_of(value: Any) -> "list[Callable[[Any], None]]":
    """Return a setter for every value inside a document, and one that adds a value to each list."""
    found: list[Callable[[Any], None]] = []
    if isinstance(value, list):
        found.append(value.append)
        for index, inner in enumerate(value):
            found.append(partial(value.__setitem__, index))
            found += places_of(inner)
    if isinstance(value, dict):
        for key, inner in value.items():
            found.append(partial(value.__setitem__, key))
            found += places_of(inner)
    return found
