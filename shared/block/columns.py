"""One column <-> integers: the exact decimal scaling, the float fallback, the delta order.

Owns lossless transforms between lists; leaves out their bytes (`shared.block.codec`).
"""

import struct
from collections.abc import Sequence
from itertools import accumulate

from shared.model.reading import Value

MAX_DECIMALS = 22
"""10**22 is the largest power of ten that a double holds exactly."""
EXACT = 1 << 53


def scale(values: Sequence[float]) -> tuple[int, list[int]] | None:
    """Return (decimals, integers) with ``integer / 10**decimals`` equal bit for bit, or None."""
    for decimals in range(MAX_DECIMALS + 1):
        power = 10.0**decimals
        try:
            integers = [round(value * power) for value in values]
        except (OverflowError, ValueError):
            return None
        if any(abs(integer) > EXACT for integer in integers):
            return None
        if all(
            integer / power == value and (integer or str(value)[0] != "-")
            for integer, value in zip(integers, values, strict=True)
        ):
            return decimals, integers
    return None


def unscale(decimals: int, integers: list[int]) -> list[Value]:
    """Undo `scale`."""
    power = 10.0**decimals
    return [integer / power for integer in integers]


def float_bits(values: Sequence[float]) -> list[int]:
    """Return the 64 bits of each float XOR those of the one before."""
    bits = struct.unpack(f"<{len(values)}Q", struct.pack(f"<{len(values)}d", *values))
    return [now ^ before for now, before in zip(bits, (0, *bits), strict=False)]


def bits_float(xors: list[int]) -> list[Value]:
    """Undo `float_bits`."""
    bits = accumulate(xors, lambda before, xor: before ^ xor)
    return list(struct.unpack(f"<{len(xors)}d", struct.pack(f"<{len(xors)}Q", *bits)))


def delta(integers: list[int]) -> list[int]:
    """Return the first value, then differences."""
    return [now - before for now, before in zip(integers, (0, *integers), strict=False)]


def undelta(deltas: list[int]) -> list[int]:
    """Undo `delta`."""
    return list(accumulate(deltas))


def cheapest_order(integers: list[int]) -> tuple[int, list[int]]:
    """Return how many times to take differences (0 to 2) and the result."""
    candidates = [integers]
    candidates.extend([delta(integers)])
    candidates.append(delta(candidates[1]))
    costs = [
        sum(integer.bit_length() for integer in c[order:]) for order, c in enumerate(candidates)
    ]
    order = costs.index(min(costs))
    return order, candidates[order]
