"""Floats <-> integers, bit for bit: the decimal behind a float, or its bits in order.

Owns the forms a column of floats may take and the search for the cheapest that is exact. Leaves
out integers, missing cells and columns of several kinds (`shared.block.columns`).

Most floats were decimals once: a register times 0.1, a float32 of 21.3, a text. Finding the integer
behind them is worth more than any entropy coder: 21.3 is 213 with one decimal. What was no decimal
keeps its bits, as an integer that sorts like the float, so that its steps are small.
"""

import struct
from collections.abc import Sequence
from enum import IntEnum, unique
from itertools import pairwise
from math import isfinite
from typing import NamedTuple

from shared.block.figures import join, split, tails_of
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
    FIGURES = 8
    """Floats: the quotient, where large values have fewer decimals; a second series of digits."""
    MIXED = 9
    """Several kinds, each a column of its own."""

    __hash__ = int.__hash__  # as `Role`


CORRECTED = {Form.NEARLY: Form.QUOTIENT, Form.NEARLY_SINGLE: Form.SINGLE}
"""What each form with corrections corrects."""
DIGITS = {
    Form.QUOTIENT: 17,
    Form.SINGLE: 7,
    Form.NEARLY_SINGLE: 7,
    Form.PRODUCT: 13,
    Form.NEARLY: 13,
}
"""Significant digits at which the decimal behind a float shows: fewer than it can hold."""


class Layout(NamedTuple):
    """A form and its parameters."""

    form: Form
    decimals: int = 0
    tail: int = 0
    """Of FIGURES: digits that only small values have."""


class Fit(NamedTuple):
    """A layout, the integers it makes of a column, and what some forms add to them."""

    layout: Layout
    integers: list[int]
    additions: list[int]


def fit(values: list[float]) -> Fit:
    """Return the cheapest exact form of `values`; BITS always is one."""
    bits = Fit(Layout(Form.BITS), ordered(values), [])
    if not all(map(isfinite, values)):
        return bits
    quotient = _search(Form.QUOTIENT, values)
    if quotient and quotient.layout.decimals <= FEW_DECIMALS:
        return _figures(quotient)
    # More decimals than an instrument has: perhaps a float32, or the trace of an arithmetic.
    single = _search(Form.SINGLE, values) or _search(Form.NEARLY_SINGLE, values)
    product = _search(Form.PRODUCT, values) or _search(Form.NEARLY, values)
    found = (bits, quotient, _single_bits(values), single, product)
    return min((fitted for fitted in found if fitted), key=_roughness)


def additions_of(layout: Layout, integers: list[int]) -> int:
    """Return how many additions come with the integers of a layout."""
    if layout.form is Form.FIGURES:
        return tails_of(integers, layout.tail)
    return len(integers) if layout.form in CORRECTED else 0


def restore(layout: Layout, integers: list[int], additions: list[int]) -> list[float]:
    """Undo `fit`.

    Raises:
        RefusedError: integers that no column of that layout has.
    """
    form, decimals, tail = layout
    power = float(10**decimals)
    match form:
        case Form.QUOTIENT:
            return [integer / power for integer in integers]
        case Form.FIGURES:
            return [integer / power for integer in join(tail, integers, additions)]
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
            moved = [bits + ulps for bits, ulps in zip(near, additions, strict=True)]
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


def _decimals(value: float, digits: int = 17) -> int:
    """Return how many decimals `value` has at that precision; many if it is no decimal."""
    text = repr(value) if digits == 17 else f"{value:.{digits}g}"
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


def _search(form: Form, values: list[float]) -> Fit | None:
    """Return the values in `form`, with as many decimals as a few of them need, or all."""
    samples = values[:: max(1, len(values) // 4)]
    for looked_at in (samples, values):
        decimals = max(_decimals(value, DIGITS[form]) for value in looked_at)
        if not _attempt(Layout(form, decimals), samples):
            return None
        if found := _attempt(Layout(form, decimals), values):
            return found
    return None


def _attempt(layout: Layout, values: list[float]) -> Fit | None:
    """Return the integers that `layout` turns into exactly `values`, if there are any."""
    integers = _rounded(values, layout.decimals)
    if integers is None:
        return None
    if layout.form not in CORRECTED:
        exact = _pack(restore(layout, integers, [])) == _pack(values)
        return Fit(layout, integers, []) if exact else None
    # Where decimals lie closer than this, any float is near one of them.
    if max(map(abs, integers)) > EXACT // (8 * ULPS):
        return None
    near = ordered(restore(Layout(CORRECTED[layout.form], layout.decimals), integers, []))
    corrections = [bits - other for bits, other in zip(ordered(values), near, strict=True)]
    return Fit(layout, integers, corrections) if max(map(abs, corrections)) <= ULPS else None


def _figures(found: Fit) -> Fit:
    """Return `found` as FIGURES, if that saves something."""
    apart = split(found.integers)
    if not apart:
        return found
    layout = Layout(Form.FIGURES, found.layout.decimals, apart.tail)
    return Fit(layout, apart.heads, apart.tails)


def _single_bits(values: list[float]) -> Fit | None:
    if not all(map(_is_single, values)):
        return None
    return Fit(Layout(Form.SINGLE_BITS), ordered(values, "i", "f"), [])


def _is_single(value: float) -> bool:
    return abs(value) < MOST_SINGLE and _SINGLE.unpack(_SINGLE.pack(value))[0] == value


def _roughness(found: Fit) -> int:
    """Return a measure of what a form leaves to code: the steps between its integers."""
    return sum(abs(now - before) for before, now in pairwise(found.integers))
