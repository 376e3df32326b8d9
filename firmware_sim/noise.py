"""Seeded noise as pure functions: the same arguments give the same number on every machine.

Owns hashing of integers to numbers. Leaves out every shape that means something physical.
"""

import math
import zlib

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E37_79B9_7F4A_7C15


def mix(*parts: int) -> int:
    """Return 64 well-mixed bits of the integers `parts` (the finalizer of splitmix64)."""
    state = 0
    for part in parts:
        state = (state + _GOLDEN + part) & _MASK
        state = (state ^ state >> 30) * 0xBF58_476D_1CE4_E5B9 & _MASK
        state = (state ^ state >> 27) * 0x94D0_49BB_1331_11EB & _MASK
        state ^= state >> 31
    return state


def salt_of(name: str) -> int:
    """Return a number for a name that does not change between runs, as `hash` would."""
    return zlib.crc32(name.encode())


def uniform(*parts: int) -> float:
    """Return a number in [0, 1) that depends on `parts` alone.

    >>> uniform(1, 2) == uniform(1, 2), uniform(1, 2) == uniform(1, 3)
    (True, False)
    """
    return (mix(*parts) >> 11) / (1 << 53)


def wander(t_s: float, step_s: float, *parts: int) -> float:
    """Return smooth noise in [-1, 1]: hashed values every `step_s` seconds, eased in between."""
    place = t_s / step_s
    index = math.floor(place)
    share = place - index
    eased = share * share * (3.0 - 2.0 * share)
    before, after = uniform(index, *parts), uniform(index + 1, *parts)
    return 2.0 * (before + (after - before) * eased) - 1.0


def noise_bytes(size: int, *parts: int) -> bytes:
    """Return `size` bytes that depend on `parts` alone."""
    words = (mix(index, *parts).to_bytes(8) for index in range(size // 8 + 1))
    return b"".join(words)[:size]
