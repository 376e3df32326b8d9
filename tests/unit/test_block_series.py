"""Each shape is chosen where it fits, and a series that lies is refused."""

import math
import random

import pytest

from shared.block.adaptive import AdaptiveReader, AdaptiveWriter
from shared.block.kin import Kin
from shared.block.plain import PlainReader, PlainWriter
from shared.block.series import (
    DRIFT,
    LEVEL,
    LINE,
    PALETTE,
    SHAPES,
    TREND,
    get_series,
    put_series,
)
from shared.block.stage import Field, Role, Use, put_signed, role
from shared.errors import RefusedError

NOISE = random.Random(5)
JITTER = [NOISE.choice((0, 0, 0, 1, -1, 2)) for _ in range(100)]
WALK = [sum(JITTER[:n]) for n in range(100)]
SERIES = {
    "a constant": (LINE, [7] * 100),
    "a ramp": (LINE, list(range(500, -500, -10))),
    "a walk": (DRIFT, WALK),
    "a counter": (DRIFT, [1_000 * n + move for n, move in enumerate(WALK)]),
    "a curve": (TREND, [n * n * n for n in range(100)]),
    "noise about a level": (LEVEL, [NOISE.gauss(0, 300).__round__() for _ in range(100)]),
    "few values far apart": (PALETTE, [NOISE.choice((54_711, 382_638, 913_007)) for _ in JITTER]),
}


class Spy(AdaptiveWriter):
    """Remembers the first number, which is a series' shape."""

    shape = -1

    def number(self, role, value):
        if self.shape < 0:
            self.shape = value
        super().number(role, value)


@pytest.mark.parametrize(("shape", "values"), SERIES.values(), ids=SERIES)
def test_the_shape_that_fits_is_chosen(shape, values):
    writer = Spy()
    put_series(writer, values, Use.VALUE)
    assert min(writer.shape, LEVEL) == shape
    assert get_series(AdaptiveReader(writer.finish()), len(values), Use.VALUE) == values


def test_a_unit_costs_once():
    sizes = []
    for unit in (1, 300_000):
        writer = AdaptiveWriter()
        put_series(writer, [unit * value for value in WALK], Use.TIME)
        sizes.append(len(writer.finish()))
    assert sizes[1] <= sizes[0] + 4


def test_a_column_that_follows_another_costs_next_to_nothing():
    wild = [NOISE.gauss(0, 5_000).__round__() for _ in range(200)]
    half = [value // 2 for value in wild]
    writer, kin = AdaptiveWriter(), Kin()
    put_series(writer, wild, Use.VALUE, kin)
    put_series(writer, half, Use.VALUE, kin)
    data = writer.finish()
    lone = AdaptiveWriter()
    put_series(lone, wild, Use.VALUE, Kin())
    assert len(data) < 1.2 * len(lone.finish())
    reader, kin = AdaptiveReader(data), Kin()
    assert get_series(reader, 200, Use.VALUE, kin) == wild
    assert get_series(reader, 200, Use.VALUE, kin) == half


def plain(*numbers):
    writer = PlainWriter(compress=False)
    for field, value in numbers:
        if field in {Field.FIRST, Field.SLOPE}:
            put_signed(writer, 0, value)
        else:
            writer.number(0, value)
    return PlainReader(writer.finish(), compressed=False)


@pytest.mark.parametrize(
    "numbers",
    [
        [(Field.SHAPE, SHAPES)],
        [(Field.SHAPE, LINE), (Field.FIRST, 1 << 65), (Field.SLOPE, 0)],
        [(Field.SHAPE, LINE), (Field.FIRST, 0), (Field.SLOPE, 1 << 63)],
        [(Field.SHAPE, LINE), (Field.FIRST, 0), (Field.SLOPE, -(1 << 64))],
        [(Field.SHAPE, DRIFT), (Field.FIRST, 0), (Field.TENS, 21)],
        [
            (Field.SHAPE, DRIFT),
            (Field.FIRST, 0),
            (Field.TENS, 0),
            (Field.UNIT, 0),
            (Field.SLOPE, 0),
            (Field.SCALE, 73),
        ],
        [(Field.SHAPE, PALETTE), (Role.PALETTE_SIZE, 4)],
        [(Field.SHAPE, PALETTE), (Role.PALETTE_SIZE, 0)],
    ],
)
def test_a_series_that_lies_is_refused(numbers):
    with pytest.raises(RefusedError):
        get_series(plain(*numbers), 3, Use.VALUE)


@pytest.mark.parametrize("place", [1, -1])
def test_a_place_outside_the_palette_is_refused(place):
    writer = PlainWriter(compress=False)
    writer.number(role(Field.SHAPE, Use.VALUE), PALETTE)
    writer.number(Role.PALETTE_SIZE, 1)
    put_series(writer, [5], Use.PALETTE)
    put_series(writer, [0, place, 0], Use.PLACE)
    with pytest.raises(RefusedError):
        get_series(PlainReader(writer.finish(), compressed=False), 3, Use.VALUE)


@pytest.mark.parametrize("place", [1, 2])
def test_a_column_cannot_follow_one_that_is_not_there_or_is_longer(place):
    writer = AdaptiveWriter()
    kin = Kin()
    put_series(writer, [0, 5, 1, 9, 2], Use.VALUE, kin)
    writer.number(role(Field.SHAPE, Use.VALUE), DRIFT)
    put_signed(writer, role(Field.FIRST, Use.VALUE), 0)
    writer.number(role(Field.TENS, Use.VALUE), 0)
    writer.number(role(Field.UNIT, Use.VALUE), 0)
    put_signed(writer, role(Field.SLOPE, Use.VALUE), 0)
    writer.number(Role.KIN, place)
    put_signed(writer, Role.SHARE, 16)
    writer.number(role(Field.SCALE, Use.VALUE), 0)
    writer.residuals([0, 0], 0)
    reader, kin = AdaptiveReader(writer.finish()), Kin()
    get_series(reader, 5, Use.VALUE, kin)
    with pytest.raises(RefusedError):
        get_series(reader, 3, Use.VALUE, kin)


def test_values_of_64_bits_of_either_sign_fit():
    values = [(1 << 64) - 1, -(1 << 64), 0, (1 << 64) - 1, math.floor(-(2.0**63))]
    writer = AdaptiveWriter()
    put_series(writer, values, Use.VALUE)
    assert get_series(AdaptiveReader(writer.finish()), len(values), Use.VALUE) == values
