"""Hostile inputs at speed: real ones with a few plain edits each, drawn from a seed.

Hypothesis (`hostile`) takes a millisecond for an input and shrinks what it finds; this takes some
ten microseconds. Edits are of bytes, of pieces of other inputs, and of values inside msgpack and
CBOR. An input that came to a place where none was refused before is edited further.
"""

import random
from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any

import cbor2
import msgpack

from tests.fuzz.hostile import TOKENS, VALUES, places_of
from tests.fuzz.targets import Target

SMP_HEAD_BYTES = 8
"""Before the CBOR of an SMP packet; its length stands in bytes 2 and 3."""
POOL = 256
"""Inputs that are edited further; beyond it a new one takes an old one's place."""
MOST_BYTES = 64 * 1024
"""An edited input is cut there: bounds lie far below, and time is spent on edits."""
LONG_EVERY = 16
"""One in so many may be longer than twice what a target begins with: long ones cost the most."""
MOST_EDITS = 6
INTERESTING = (
    *(0, 1, 2, 16, 31, 32, 63, 64, 100, 127, 128, 255, 256, 511, 512, 1000, 1024, 4095, 4096),
    *(32_767, 32_768, 65_535, 65_536, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**63 - 1, 2**64 - 1),
)
TEXTS = (
    *(b"\r\n", b"\n", b"\r\n\r\n", b" ", b",", b":", b";", b"=", b'"', b"\\u0000", b"\\ud800"),
    *(b"{", b"}", b"[" * 40, b"]", b'{"a":' * 40, b"null", b"true", b"NaN", b"1e999", b"-0"),
    *(b"-1", b"0x", b"00", b"99999999999999999999", b"1.5", b"+", b"\xe2\x80\xae", b"\xc3\x28"),
)

Edit = Callable[["Havoc", bytearray], None]


class Havoc:
    """Makes inputs for one target."""

    def __init__(self, target: Target, first: Sequence[bytes], dice: random.Random) -> None:
        """Begin with what is known: seeds, which are accepted, and then the corpus."""
        self._dice, self._pool, self._known = dice, list(first), len(first)
        self._seeds = len(target.seeds())
        self._usual = 2 * max(map(len, first[: self._seeds]))
        self._forms = [_edited] * 3
        if target.packed:
            self._forms += [_msgpack_swapped] * 3
        if target.smp:
            self._forms += [_cbor_swapped] * 3

    def next(self) -> bytes:
        """Return an input."""
        base, most = self._pool[self._below(len(self._pool))], MOST_BYTES
        if self._below(LONG_EVERY):
            most = self._usual
            if len(base) > most:
                base = self._pool[self._below(self._seeds)]
        return self._forms[self._below(len(self._forms))](self, base)[:most]

    def keep(self, data: bytes) -> None:
        """Edit this one too from now on."""
        if len(self._pool) < self._known + POOL:
            self._pool.append(data)
        else:
            self._pool[self._known + self._below(POOL)] = data

    def _below(self, bound: int) -> int:
        # Several times as quick as randrange, and the inputs are many.
        return int(self._dice.random() * bound)

    def _span(self, data: bytearray) -> tuple[int, int]:
        """Return a place and an end behind it, mostly near."""
        at = self._below(len(data) + 1)
        return at, min(len(data), at + 1 + self._below(1 << self._below(8)))


# --- bytes ----------------------------------------------------------------------------------------
def _edited(havoc: Havoc, base: bytes) -> bytes:
    data = bytearray(base)
    for _ in range(1 + havoc._below(MOST_EDITS)):
        EDITS[havoc._below(len(EDITS))](havoc, data)
    return bytes(data)


def _flip_bit(havoc: Havoc, data: bytearray) -> None:
    if data:
        data[havoc._below(len(data))] ^= 1 << havoc._below(8)


def _set_byte(havoc: Havoc, data: bytearray) -> None:
    if data:
        data[havoc._below(len(data))] = havoc._below(256)


def _step_byte(havoc: Havoc, data: bytearray) -> None:
    if data:
        at = havoc._below(len(data))
        data[at] = (data[at] + havoc._below(33) - 16) & 0xFF


def _number(havoc: Havoc, data: bytearray) -> None:
    """Write a number that programs trip over, of any width and order."""
    width = (1, 2, 4, 8)[havoc._below(4)]
    value = INTERESTING[havoc._below(len(INTERESTING))] & ((1 << 8 * width) - 1)
    at = havoc._below(len(data) + 1)
    data[at : at + width] = value.to_bytes(width, ("big", "little")[havoc._below(2)])


def _cut(havoc: Havoc, data: bytearray) -> None:
    at, end = havoc._span(data)
    del data[at:end]


def _cut_end(havoc: Havoc, data: bytearray) -> None:
    del data[havoc._below(len(data) + 1) :]


def _double(havoc: Havoc, data: bytearray) -> None:
    at, end = havoc._span(data)
    data[at:at] = data[at:end] * (1 + havoc._below(4))


def _move(havoc: Havoc, data: bytearray) -> None:
    at, end = havoc._span(data)
    piece = data[at:end]
    del data[at:end]
    to = havoc._below(len(data) + 1)
    data[to:to] = piece


def _insert(havoc: Havoc, data: bytearray) -> None:
    words = (TOKENS, TEXTS)[havoc._below(2)]
    at = havoc._below(len(data) + 1)
    data[at:at] = words[havoc._below(len(words))]


def _overwrite(havoc: Havoc, data: bytearray) -> None:
    words = (TOKENS, TEXTS)[havoc._below(2)]
    word = words[havoc._below(len(words))]
    at = havoc._below(len(data) + 1)
    data[at : at + len(word)] = word


def _splice(havoc: Havoc, data: bytearray) -> None:
    """Put a piece of another input in, or go on as that one does."""
    other = havoc._pool[havoc._below(len(havoc._pool))]
    begin, at = havoc._below(len(other) + 1), havoc._below(len(data) + 1)
    if havoc._below(2):
        data[at:] = other[begin:]
    else:
        data[at:at] = other[begin : begin + 1 + havoc._below(64)]


EDITS: tuple[Edit, ...] = (
    *(_flip_bit, _flip_bit, _set_byte, _step_byte, _number, _number, _cut, _cut_end),
    *(_double, _move, _insert, _overwrite, _splice),
)


# --- values ---------------------------------------------------------------------------------------
_NO_DOCUMENT = (ValueError, TypeError, RecursionError, OverflowError, EOFError)
"""Raised by an input that was kept although it is none, or by values that cannot be packed."""


def _swapped(havoc: Havoc, plain: Any) -> Any:
    """Put other values into a document."""
    holder = [plain]
    for _ in range(1 + havoc._below(3)):
        places = places_of(holder)
        # The first would add to the holder; a copy, since a later swap may reach inside it.
        set_value = places[1 + havoc._below(len(places) - 1)]
        set_value(deepcopy(VALUES[havoc._below(len(VALUES))]))
    return holder[0]


def _msgpack_swapped(havoc: Havoc, base: bytes) -> bytes:
    try:
        plain = msgpack.unpackb(base, strict_map_key=False)
        packed: bytes = msgpack.packb(_swapped(havoc, plain), use_bin_type=True)
    except _NO_DOCUMENT:
        return _edited(havoc, base)
    return packed


def _cbor_swapped(havoc: Havoc, base: bytes) -> bytes:
    head, body = base[:SMP_HEAD_BYTES], base[SMP_HEAD_BYTES:]
    try:
        packed = cbor2.dumps(_swapped(havoc, cbor2.loads(body)))
    except (cbor2.CBORError, *_NO_DOCUMENT):
        return _edited(havoc, base)
    size = min(len(packed), 0xFFFF)
    return head[:2] + size.to_bytes(2, "big") + head[4:] + packed
