"""The decimal behind a float is found, and what was none keeps its bits."""

import math
import struct

import pytest

from shared.block.adaptive import AdaptiveReader, AdaptiveWriter
from shared.block.columns import Columns
from shared.block.figures import join, split
from shared.block.floats import Form, Layout, fit, ordered, outliers, restore
from shared.errors import RefusedError
from tests.block_parts import bits

COUNTS = [213, 214, 214, 209, 2130, -7, 0, 55]


def single(value):
    return struct.unpack("<f", struct.pack("<f", value))[0]


def up(value, ulps):
    for _ in range(ulps):
        value = math.nextafter(value, math.inf)
    return value


CASES = {
    "a text with one decimal": (Form.QUOTIENT, 1, [n / 10 for n in COUNTS]),
    "whole floats": (Form.QUOTIENT, 0, [float(n) for n in COUNTS]),
    "a register times 0.1": (Form.PRODUCT, 1, [n * 0.1 for n in COUNTS]),
    "a float32 of a decimal": (Form.SINGLE, 2, [single(n / 100) for n in COUNTS]),
    "a float32 of anything": (Form.SINGLE_BITS, 0, [single(math.pi * n) for n in COUNTS]),
    "a sum of decimals": (Form.NEARLY, 2, [up(n / 100, n % 3) for n in COUNTS if n]),
    "a float32 read from text": (
        Form.NEARLY_SINGLE,
        3,
        [up(single(n / 1000), n % 3) for n in COUNTS if n],
    ),
    "a measured double": (Form.BITS, 0, [math.pi * 1.1**n for n in range(40)]),
    "not a number among them": (Form.BITS, 0, [1.5, math.nan, math.inf, -0.0]),
    "six figures": (Form.FIGURES, 5, [float(f"{9.5 + 0.9 * math.sin(n):.6g}") for n in range(40)]),
}


@pytest.mark.parametrize(("form", "decimals", "values"), CASES.values(), ids=CASES)
def test_a_form_is_recognised_and_exact(form, decimals, values):
    found = fit(values)
    assert (found.layout.form, found.layout.decimals) == (form, decimals)
    back = restore(found.layout, found.integers, found.additions)
    assert list(map(bits, back)) == list(map(bits, values))


def test_ordered_bits_sort_like_the_floats():
    values = [-math.inf, -1e300, -2.0, -5e-324, -0.0, 0.0, 5e-324, 1.0, math.inf]
    assert ordered(values) == sorted(ordered(values))
    assert ordered([-0.0, 0.0]) == [-1, 0]


@pytest.mark.parametrize("layout", [Layout(Form.BITS), Layout(Form.SINGLE_BITS)])
def test_bits_that_no_float_has_are_refused(layout):
    with pytest.raises(RefusedError):
        restore(layout, [1 << 63], [])


@pytest.mark.parametrize("form", [Form.INTEGER, Form.MIXED])
def test_integers_are_no_form_of_floats(form):
    with pytest.raises(RefusedError):
        restore(Layout(form), [1], [])


@pytest.mark.parametrize("odd", [math.nan, -math.inf, -0.0, -3.4028234663852886e38, 1 / 3])
def test_one_odd_float_does_not_spoil_a_column_of_decimals(odd):
    values = [n / 10 for n in range(200, 260)]
    values[17] = odd
    assert outliers(values).count(True) == 1
    writer = AdaptiveWriter()
    Columns().put(writer, [*values], bytes(60))
    data = writer.finish()
    column, _ = Columns().get(AdaptiveReader(data), 60)
    assert list(map(bits, column)) == list(map(bits, values))
    assert len(data) < 32, "the other 59 are nearly a line"


def test_small_values_have_figures_that_large_ones_lack():
    apart = split([9_876_543, 12_345_670, 10_000_010, 9_123_456, 10_500_000, 11_000_020] * 5)
    assert apart
    assert apart.tail == 1
    assert apart.heads[:2] == [987_654, 1_234_567]
    assert apart.tails[:2] == [3, 6]
    assert join(apart.tail, apart.heads, apart.tails)[:2] == [9_876_543, 12_345_670]


def test_digits_that_only_look_like_figures_are_left_alone():
    assert split([1_000, 1_001, 999, 998, 1_002]) is None
    assert split([0, 0, 0]) is None
    assert split([10, 20, 30, 40]) is None
