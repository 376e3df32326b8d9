"""A list of integers <-> a few numbers and residuals: how a series is predicted, and which way.

Everything in a block is a series in the end: times, scaled values, marks of missing cells. Owns
the shapes a series may have and the choice among them. Leaves out how values become integers
(`shared.block.columns`) and what the stage makes of residuals.

A series is its first value, its unit (the greatest common divisor of its steps) and a shape:

- LINE: equal steps; nothing follows. A constant is a line with step 0.
- DRIFT: each value is the one before plus a step that is the same throughout.
- TREND: each step is the one before.
- LEVEL+n: each value is the running mean of those before, over the last 2**n or so.
- PALETTE: few distinct values, far apart; they are a series, and the places in it another one.
"""

from itertools import accumulate, pairwise
from math import gcd
from typing import NamedTuple

from shared.block.kin import Kin, bits_for
from shared.block.stage import (
    NUMBER_BITS,
    SPARSE,
    Field,
    Reader,
    Role,
    Use,
    Writer,
    get_signed,
    malformed,
    put_signed,
    role,
)

DRIFT, LINE, TREND, PALETTE, LEVEL = 0, 1, 2, 3, 4
LEVELS = (1, 3, 5)
"""Half, an eighth, nearly the mean: between them prediction costs hardly differ."""
SHAPES = LEVEL + len(LEVELS)
_HANDICAP = {DRIFT: 19, TREND: 26} | dict.fromkeys(range(LEVEL, SHAPES), 20)
"""What each shape's residuals count: a plan has to be that much better. A slope counts one more."""
VALUE_BITS = 64
"""Integers of a series: 64 bits of either sign; anything larger is refused."""
_FRACTION = 8
"""Bits of a running mean below the unit."""
_HALF = 1 << _FRACTION >> 1


class Plan(NamedTuple):
    """One way to predict a series, and what that leaves over."""

    shape: int
    slope: int
    residuals: list[int]


def put_series(writer: Writer, values: list[int], use: Use, kin: Kin | None = None) -> None:
    """Write `values`; their number is known to the reader, as is whether there are `kin`."""
    if len(values) < 2:
        for value in values:
            put_signed(writer, role(Field.FIRST, use), value)
        return
    first = values[0]
    steps = [now - before for before, now in pairwise(values)]
    if steps.count(steps[0]) == len(steps):
        writer.number(role(Field.SHAPE, use), LINE)
        put_signed(writer, role(Field.FIRST, use), first)
        put_signed(writer, role(Field.SLOPE, use), steps[0])
        return
    unit = gcd(*steps)
    if unit > 1:
        values = [(value - first) // unit for value in values]
        steps = [step // unit for step in steps]
    plan = _cheapest(values, steps)
    palette = sorted(set(values)) if use is Use.VALUE else []
    if _palette_pays(palette, values, plan):
        _put_palette(writer, [first + value * unit for value in values] if unit > 1 else values)
        return
    writer.number(role(Field.SHAPE, use), plan.shape)
    put_signed(writer, role(Field.FIRST, use), first)
    _put_unit(writer, unit, use)
    if plan.shape in {DRIFT, TREND}:
        put_signed(writer, role(Field.SLOPE, use), plan.slope)
    left = kin.put(writer, plan.residuals) if kin else plan.residuals
    scale = _scale(left)
    writer.number(role(Field.SCALE, use), scale)
    writer.residuals(left, scale)


def get_series(reader: Reader, count: int, use: Use, kin: Kin | None = None) -> list[int]:
    """Read a series of `count` values.

    Raises:
        RefusedError: an unknown shape, or a value beyond 64 bits.
    """
    if count < 2:
        return _bounded([get_signed(reader, role(Field.FIRST, use)) for _ in range(count)])
    shape = reader.number(role(Field.SHAPE, use))
    if shape == PALETTE and use is Use.VALUE:
        return _get_palette(reader, count)
    if shape == PALETTE or shape >= SHAPES:
        raise malformed(f"a series of shape {shape}")
    first = get_signed(reader, role(Field.FIRST, use))
    if shape == LINE:
        slope = get_signed(reader, role(Field.SLOPE, use))
        values = list(range(first, first + slope * count, slope)) if slope else [first] * count
        return _bounded(values)
    unit = _get_unit(reader, use)
    slope = get_signed(reader, role(Field.SLOPE, use)) if shape in {DRIFT, TREND} else 0
    place, share = kin.get(reader) if kin else (0, 0)
    scale = reader.number(role(Field.SCALE, use))
    if scale > NUMBER_BITS:
        raise malformed(f"residuals of scale {scale}")
    residuals = reader.residuals(count - 1 - (shape == TREND), scale)
    if kin:
        residuals = kin.restore(residuals, place, share)
    values = _predict(shape, 0 if unit > 1 else first, slope, residuals)
    return _bounded([first + value * unit for value in values] if unit > 1 else values)


def _predict(shape: int, first: int, slope: int, residuals: list[int]) -> list[int]:
    """Return the values of which a shape's prediction missed `residuals`."""
    if shape == TREND:
        return list(accumulate(accumulate(residuals, initial=slope), initial=first))
    if shape != DRIFT:
        return _levelled(first, residuals, LEVELS[shape - LEVEL])
    steps = [residual + slope for residual in residuals] if slope else residuals
    return list(accumulate(steps, initial=first))


def _bounded(values: list[int]) -> list[int]:
    if values and (max(values) >> VALUE_BITS > 0 or min(values) >> VALUE_BITS < -1):
        raise malformed("a value beyond 64 bits")
    return values


def _cheapest(values: list[int], steps: list[int]) -> Plan:
    """Return the plan that leaves the least over, judged by the sum of what it leaves.

    Plain steps win a near tie. A trend has to be much better: what it adds to steps, the trees
    know already from the two residuals before.
    """
    middle = sorted(steps)[len(steps) // 2]
    plans = [Plan(DRIFT, 0, steps)]
    if middle:
        plans.append(Plan(DRIFT, middle, [step - middle for step in steps]))
    if len(values) > 3:
        trend = [now - before for before, now in pairwise(steps)]
        plans.append(Plan(TREND, steps[0], trend))
        plans.extend(
            Plan(LEVEL + index, 0, _level_residuals(values, window))
            for index, window in enumerate(LEVELS)
        )
    return min(
        plans,
        key=lambda plan: (
            sum(map(abs, plan.residuals)) * (_HANDICAP[plan.shape] + (plan.slope != 0))
        ),
    )


def _scale(residuals: list[int]) -> int:
    """Return the scale of residuals: 0 to 2 mostly zeros, beyond it each one doubles them."""
    total, count = sum(map(abs, residuals)), len(residuals)
    if total < count:
        return (total * 20 >= count * 3) + (total * 2 >= count)
    return SPARSE - 1 + (total // count).bit_length()


def _level_residuals(values: list[int], window: int) -> list[int]:
    level = values[0] << _FRACTION
    residuals = []
    for seen, value in enumerate(values[1:], 2):
        residuals.append(value - (level + _HALF >> _FRACTION))
        gap = (value << _FRACTION) - level
        level += gap >> window if seen >> window else gap // seen
    return residuals


def _levelled(first: int, residuals: list[int], window: int) -> list[int]:
    """Undo `_level_residuals`."""
    level = first << _FRACTION
    values = [first]
    for seen, residual in enumerate(residuals, 2):
        value = residual + (level + _HALF >> _FRACTION)
        values.append(value)
        gap = (value << _FRACTION) - level
        level += gap >> window if seen >> window else gap // seen
    return values


def _put_unit(writer: Writer, unit: int, use: Use) -> None:
    """Write a unit as tens and the rest: a clock's 30,000 ms is 4 tens and a 3."""
    tens = 0
    while unit % 10 == 0:
        unit //= 10
        tens += 1
    writer.number(role(Field.TENS, use), tens)
    writer.number(role(Field.UNIT, use), unit - 1)


def _get_unit(reader: Reader, use: Use) -> int:
    tens = reader.number(role(Field.TENS, use))
    if tens > 20:
        raise malformed("a unit beyond 64 bits")
    power: int = 10**tens
    return (reader.number(role(Field.UNIT, use)) + 1) * power


def _palette_pays(palette: list[int], values: list[int], plan: Plan) -> bool:
    """Tell whether naming each distinct value once, then only its place, is cheaper than `plan`."""
    if not 2 < len(palette) <= len(values) // 3:
        return False
    gaps = [now - before for before, now in pairwise(palette)]
    place = {value: index for index, value in enumerate(palette)}
    places = [place[now] - place[before] for before, now in pairwise(values)]
    return bits_for(gaps) + bits_for(places) + 16 < bits_for(plan.residuals)


def _put_palette(writer: Writer, values: list[int]) -> None:
    palette = sorted(set(values))
    place = {value: index for index, value in enumerate(palette)}
    writer.number(role(Field.SHAPE, Use.VALUE), PALETTE)
    writer.number(Role.PALETTE_SIZE, len(palette))
    put_series(writer, palette, Use.PALETTE)
    put_series(writer, [place[value] for value in values], Use.PLACE)


def _get_palette(reader: Reader, count: int) -> list[int]:
    extent = reader.number(Role.PALETTE_SIZE)
    if not 0 < extent <= count:
        raise malformed("a palette larger than its column")
    palette = get_series(reader, extent, Use.PALETTE)
    places = get_series(reader, count, Use.PLACE)
    if min(places) < 0 or max(places) >= extent:
        raise malformed("a place outside the palette")
    return [palette[place] for place in places]
