"""What registers mean, and which registers make a value."""

import math
import struct
from decimal import Decimal

import pytest

from agent.drivers.modbus.values import reading, registers
from shared.errors import MistakeError, Reason
from shared.model.profile import Point
from shared.model.reading import Quality
from shared.model.registers import RawType, RegisterAddress, WordOrder


def point(
    raw: RawType = "uint16",
    scale: str = "1",
    offset: str = "0",
    order: WordOrder = "big",
    low: float | None = None,
    high: float | None = None,
) -> Point:
    return Point(
        name="p",
        at=RegisterAddress("coil" if raw == "bit" else "holding", 0, raw, order),
        scale=Decimal(scale),
        offset=Decimal(offset),
        writable=True,
        minimum=low,
        maximum=high,
    )


def words(layout: str, *values: float) -> list[int]:
    data = struct.pack(layout, *values)
    return list(struct.unpack(f">{len(data) // 2}H", data))


@pytest.mark.parametrize(
    ("of", "held", "value"),
    [
        (point("uint16", "0.01"), [4210], 42.1),
        (point("int16", "0.1"), [0xFFFF], -0.1),
        (point("int16", "0.1", "-40"), [1], -39.9),
        (point("uint16", "1", "-400"), [1], -399),
        (point("uint16", "10"), [7], 70),
        (point("uint16", "2.50"), [2], 5.0),
        (point("int32"), [0xFFFF, 0xFFFE], -2),
        (point("int32", order="little"), [0xFFFE, 0xFFFF], -2),
        (point("uint32", "0.001"), [0x0001, 0x0000], 65.536),
        (point("uint64"), [0, 0, 1, 0], 65_536),
        (point("int64", order="little"), [0xFFFF] * 4, -1),
        (point("float32"), words(">f", 0.1), struct.unpack(">f", struct.pack(">f", 0.1))[0]),
        (point("float32", "0.001"), words(">f", 0.5), 0.0005),
        (point("float64"), words(">d", 0.1), 0.1),
        (point("bit"), [1], 1),
    ],
)
def test_registers_mean_exactly_one_value(of: Point, held: list[int], value: float):
    result = reading(of, held)
    assert (result.value, result.quality, result.reason) == (value, Quality.GOOD, None)
    assert type(result.value) is type(value)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_no_value(number: float):
    result = reading(point("float32"), words(">f", number))
    assert (result.value, result.quality) == (None, Quality.BAD_RANGE)
    assert result.reason is Reason.VALUE_OUT_OF_RANGE


def test_a_value_too_large_for_a_double_is_no_value():
    assert reading(point("float64", "1e10"), words(">d", 1e305)).value is None


def test_a_value_outside_its_limits_is_kept_and_marked():
    limited = point("int16", "0.1", low=-40, high=120.5)
    assert reading(limited, [1205]).quality is Quality.GOOD
    result = reading(limited, [1206])
    assert (result.value, result.quality) == (120.6, Quality.BAD_RANGE)
    assert reading(limited, [0x8000]).quality is Quality.BAD_RANGE


def test_a_limit_that_a_float_can_only_come_near_is_within_itself():
    limited = point("float32", low=-0.1, high=0.1)
    for limit in (-0.1, 0.1):
        held = registers(limited, limit)
        assert abs(reading(limited, held).value or 0) > 0.1
        assert reading(limited, held).quality is Quality.GOOD
    assert reading(limited, words(">f", 0.100001)).quality is Quality.BAD_RANGE
    unreachable = point("float32", low=-1e39, high=-1e38)
    assert reading(unreachable, words(">f", 0.0)).quality is Quality.BAD_RANGE
    assert reading(point("float32", high=-1e39), words(">f", 0.0)).quality is Quality.BAD_RANGE


def test_digits_that_do_not_fit_make_a_value_uncertain():
    large = reading(point("uint64"), [0xFFFF] * 4)
    assert (large.value, large.quality) == (float(2**64 - 1), Quality.UNCERTAIN)
    assert isinstance(large.value, float)
    assert reading(point("uint64"), [0x7FFF, 0xFFFF, 0xFFFF, 0xFFFF]).value == 2**63 - 1
    assert reading(point("int64", "0.1"), [0x0020, 0, 0, 1]).quality is Quality.UNCERTAIN


@pytest.mark.parametrize(
    ("of", "value", "held"),
    [
        (point("uint16", "0.01"), 42.1, [4210]),
        (point("uint16", "0.01"), 42, [4200]),
        (point("int16", "0.1", "-40"), -39.9, [1]),
        (point("int16", "-0.5"), 1.5, [0xFFFD]),
        (point("uint16", "10"), 70.0, [7]),
        (point("int32", order="little"), -2, [0xFFFE, 0xFFFF]),
        (point("float32"), 0.5, words(">f", 0.5)),
        (point("float32"), 42.1, words(">f", 42.1)),
        (point("bit"), True, [1]),
        (point("bit"), 0, [0]),
    ],
)
def test_a_value_has_exactly_one_form_in_registers(of: Point, value: float, held: list[int]):
    assert registers(of, value) == held


def test_reading_back_a_float_gives_the_nearest_the_device_holds():
    written = registers(point("float32"), 42.1)
    assert reading(point("float32"), written).value == pytest.approx(42.1, rel=1e-7)
    assert reading(point("float32"), written).value != 42.1


@pytest.mark.parametrize(
    ("of", "value", "sentence"),
    [
        (point("uint16", "0.01"), 42.105, r"42.105 lies between two counts.*write 42.1 or 42.11"),
        (point("uint16", "10"), 75, "write 70 or 80"),
        (point("uint16"), 65_536, "65536 is beyond uint16, which goes from 0 to 65535"),
        (point("uint16"), -1, "beyond uint16"),
        (point("uint16", high=50), 51, "51 is outside its limits, at most 50"),
        (point("uint16", low=5), 4, "outside its limits, at least 5"),
        (point("uint16", low=5, high=50), 4, "outside its limits, 5 to 50"),
        (point("float32"), 1e39, "beyond what float32 can hold"),
        (point("float64", "1e-10"), 1e300, "beyond what float64 can hold"),
        (point("uint16"), math.nan, "nan is not a number"),
        (point("uint16"), math.inf, "inf is not a number"),
        (point("uint16"), "5", "'5' is not a number"),
        (point("uint16"), True, "true and false are for coils"),
        (point("bit"), 2, "2 is beyond bit, which goes from 0 to 1"),
        (point("bit"), 0.5, "write 0 or 1"),
    ],
)
def test_what_the_device_cannot_take_is_refused_with_the_mend(
    of: Point, value: float | str, sentence: str
):
    with pytest.raises(MistakeError, match=sentence):
        registers(of, value)


def test_a_read_only_point_is_not_written():
    read_only = Point(name="p", at=RegisterAddress("holding", 0, "uint16"))
    with pytest.raises(MistakeError, match="p: the point is read-only"):
        registers(read_only, 1)
