"""Floats <-> integers, bit for bit: the decimal behind a float, or its bits in order.

Owns the forms a column of floats may take and the search for the cheapest that is exact. Leaves
out integers, missing cells and columns of several kinds (`shared.block.columns`).

Most floats were decimals once: a register times 0.1, a float32 of 21.3, a text. Finding the integer
behind them is worth more than any entropy coder: 21.3 is 213 with one decimal. What was no decimal
keeps its bits, as an integer that sorts like the float, so that its steps are small.
"""

import struct
from collections.abc import Iterable, Sequence
from enum import IntEnum, unique
from itertools import pairwise
from math import isfinite
from typing import NamedTuple

from shared.block.stage import malformed

MOST_DECIMALS = 22
"""10**22 is the largest power of ten that a double holds exactly."""
FEW_DECIMALS = 9
EXACT = 1 << 53
"""Integers up to here are doubles."""
ULPS = 16
"""How far from a decimal a float still counts as nearly that decimal."""
MOST_SINGLE = 3.4e38
"""A little below the largest float32: beyond it packing fails."""

_MAGNITUDE = {"i": (1 << 31) - 1, "q": (1 << 63) - 1}
_SINGLE = struct.Struct("<f")


@unique
class Form(IntEnum):
    """How integers become the values of a column."""

    INTEGER = 0
    """They are the values."""
    QUOTIENT = 1
    """Floats: integer / 10**decimals."""
    PRODUCT = 2
    """Floats: integer * 10**-decimals, as software that scales a register computes it."""
    SINGLE = 3
    """Floats of 24 bits: the quotient, rounded to float32."""
    BITS = 4
    """Floats: their 64 bits, ordered."""
    SINGLE_BITS = 5
    """Floats of 24 bits: their 32 bits as float32, ordered."""
    NEARLY = 6
    """Floats: the quotient's 64 bits, ordered, plus a second series of small corrections."""
    NEARLY_SINGLE = 7
    """The same, beside the quotient rounded to float32."""
    MIXED = 8
    """Several kinds, each a column of its own."""


CORRECTED = {Form.NEARLY: Form.QUOTIENT, Form.NEARLY_SINGLE: Form.SINGLE}
"""What each form with corrections corrects."""


class Layout(NamedTuple):
    """A form and its parameter."""

    form: Form
    decimals: int = 0


class Fit(NamedTuple):
    """A layout, the integers it makes of a column, and NEARLY's corrections."""

    layout: Layout
    integers: list[int]
    corrections: list[int]


def fit(values: list[float]) -> Fit:
    """Return the cheapest exact form of `values`; BITS always is one."""
    bits = Fit(Layout(Form.BITS), ordered(values), [])
    if not all(map(isfinite, values)):
        return bits
    samples = values[:: max(1, len(values) // 4)]
    quotient = _quotient(values, samples)
    if quotient and quotient.layout.decimals <= FEW_DECIMALS:
        return quotient
    # More decimals than an instrument has: perhaps a float32, or the trace of an arithmetic.
    others = (search(values, samples) for search in (_single, _product, _nearly))
    return min((found for found in (*others, quotient, bits) if found), key=_roughness)


def restore(layout: Layout, integers: list[int], corrections: list[int]) -> list[float]:
    """Undo `fit`.

    Raises:
        RefusedError: integers that no column of that layout has.
    """
    form, decimals = layout
    power = float(10**decimals)
    match form:
        case Form.QUOTIENT:
            return [integer / power for integer in integers]
        case Form.PRODUCT:
            scale = float(f"1e-{decimals}")  # the literal's value; 1 / power may differ
            return [integer * scale for integer in integers]
        case Form.SINGLE:
            singles = struct.pack(f"<{len(integers)}f", *[integer / power for integer in integers])
            return list(struct.unpack(f"<{len(integers)}f", singles))
        case Form.SINGLE_BITS:
            return _from_ordered(integers, "i", "f")
        case Form.BITS:
            return _from_ordered(integers, "q", "d")
        case Form.NEARLY | Form.NEARLY_SINGLE:
            near = ordered(restore(Layout(CORRECTED[form], decimals), integers, []))
            moved = [bits + ulps for bits, ulps in zip(near, corrections, strict=True)]
            return _from_ordered(moved, "q", "d")
        case _:
            raise malformed("a form that is not one of floats")


def ordered(values: Sequence[float], integer: str = "q", real: str = "d") -> list[int]:
    """Return the floats' bits as signed integers that sort like the floats; -0.0 becomes -1."""
    size = len(values)
    bits = struct.unpack(f"<{size}{integer}", struct.pack(f"<{size}{real}", *values))
    magnitude = _MAGNITUDE[integer]
    return [number if number >= 0 else number ^ magnitude for number in bits]


def _from_ordered(integers: list[int], integer: str, real: str) -> list[float]:
    """Undo `ordered`."""
    size, magnitude = len(integers), _MAGNITUDE[integer]
    if max(integers) > magnitude or min(integers) < ~magnitude:
        raise malformed("bits beyond a float")
    bits = [number if number >= 0 else number ^ magnitude for number in integers]
    return list(struct.unpack(f"<{size}{real}", struct.pack(f"<{size}{integer}", *bits)))


def outliers(values: list[float]) -> list[bool]:
    """Tell which of `values` would spoil a decimal form of the others.

    Two thirds of the values set the number of decimals; what needs far more of them, is huge, a
    negative zero, infinite or not a number stands out. Where a third do, none does.
    """
    needed = [_decimals(value) for value in values]
    usual = sorted(needed)[len(needed) * 2 // 3] + 2
    most = EXACT / 10**usual
    pairs = zip(needed, values, strict=True)
    odd = [decimals > usual or not -most < value < most for decimals, value in pairs]
    return odd if odd.count(True) <= len(odd) // 3 else [False] * len(odd)


def _decimals(value: float) -> int:
    """Return how many decimals the shortest text of `value` has; many if it is no decimal."""
    text = repr(value)
    if not isfinite(value) or text == "-0.0":
        return 2 * MOST_DECIMALS
    mantissa, _, exponent = text.partition("e")
    fraction = mantissa.partition(".")[2]
    return max(0, (len(fraction) if fraction != "0" else 0) - int(exponent or 0))


def _pack(values: Sequence[float]) -> bytes:
    return struct.pack(f"<{len(values)}d", *values)


def _rounded(values: list[float], decimals: int) -> list[int] | None:
    """Return the nearest integers to ``values * 10**decimals`` if doubles are exact up there."""
    if decimals > MOST_DECIMALS:
        return None
    power = float(10**decimals)
    if max(values) * power > EXACT or min(values) * power < -EXACT:
        return None
    return [round(value * power) for value in values]


def _exact(layout: Layout, values: list[float]) -> list[int] | None:
    """Return the integers that `layout` turns into exactly `values`, if there are any."""
    integers = _rounded(values, layout.decimals)
    if integers is None or _pack(restore(layout, integers, [])) != _pack(values):
        return None
    return integers


def _first(layouts: Iterable[Layout], values: list[float], samples: list[float]) -> Fit | None:
    """Return the first of `layouts` that is exact for all values, trying a few values first."""
    for layout in layouts:
        if _exact(layout, samples) is None:
            continue
        integers = _exact(layout, values)
        if integers is not None:
            return Fit(layout, integers, [])
    return None


def _quotient(values: list[float], samples: list[float]) -> Fit | None:
    guess = max(map(_decimals, samples))
    found = _first([Layout(Form.QUOTIENT, guess)], values, samples)
    if found or _exact(Layout(Form.QUOTIENT, guess), samples) is None:
        return found
    return _first([Layout(Form.QUOTIENT, max(map(_decimals, values)))], values, samples)


def _single(values: list[float], samples: list[float]) -> Fit | None:
    if not all(map(_is_single, samples)) or not all(map(_is_single, values)):
        return None
    bits = Fit(Layout(Form.SINGLE_BITS), ordered(values, "i", "f"), [])
    decimal = _first((Layout(Form.SINGLE, d) for d in range(10)), values, samples)
    return min(decimal or bits, bits, key=_roughness)


def _product(values: list[float], samples: list[float]) -> Fit | None:
    return _first((Layout(Form.PRODUCT, d) for d in range(1, 10)), values, samples)


def _nearly(values: list[float], samples: list[float]) -> Fit | None:
    """Return a fit for decimals that arithmetic has moved by a few representable numbers."""
    for decimals in range(13):
        for form in CORRECTED:
            layout = Layout(form, decimals)
            if _corrected(layout, samples) and (found := _corrected(layout, values)):
                return found
    return None


def _corrected(layout: Layout, values: list[float]) -> Fit | None:
    integers = _rounded(values, layout.decimals)
    # Where decimals lie closer than this, any float is near one of them.
    if integers is None or max(map(abs, integers)) > EXACT // (8 * ULPS):
        return None
    near = ordered(restore(Layout(CORRECTED[layout.form], layout.decimals), integers, []))
    corrections = [bits - other for bits, other in zip(ordered(values), near, strict=True)]
    return Fit(layout, integers, corrections) if max(map(abs, corrections)) <= ULPS else None


def _is_single(value: float) -> bool:
    return abs(value) < MOST_SINGLE and _SINGLE.unpack(_SINGLE.pack(value))[0] == value


def _roughness(found: Fit) -> int:
    """Return a measure of what a form leaves to code: the steps between its integers."""
    return sum(abs(now - before) for before, now in pairwise(found.integers))
