"""A device's registers: what they show, what may be written, what a poll counter proves."""

import struct

import pytest

from firmware_sim.device import Device
from firmware_sim.modbus.pdu import ExceptionCode
from firmware_sim.model import Table
from firmware_sim.model_file import parse_model
from shared.errors import MistakeError
from tests.sim_parts import pump

NOW_S = 1_760_000_000.0

STRICT = """
name = "strict"
allow_gaps = false
word_order = "little"
[[point]]
name = "a"
address = 0
type = "int16"
scale = -1
signal = { kind = "constant", value = -12.34 }
[[point]]
name = "b"
address = 2
type = "uint32"
signal = { kind = "constant", value = 65538 }
[[point]]
name = "limit"
table = "holding"
address = 10
type = "float32"
writable = true
min = -5
max = 5
[[point]]
name = "serial"
table = "holding"
address = 12
default = 77
"""


@pytest.fixture
def strict() -> Device:
    return Device(parse_model(STRICT, where="test"))


def count_of(device: Device) -> int:
    words = device.read(Table.INPUT, 10, 2, now_s=NOW_S)
    assert not isinstance(words, ExceptionCode)
    return words[0] << 16 | words[1]


def test_scale_sign_and_word_order_reach_the_registers(strict):
    assert strict.read(Table.INPUT, 0, 1, now_s=NOW_S) == (0x10000 - 123,)
    assert strict.read(Table.INPUT, 2, 2, now_s=NOW_S) == (2, 1)


def test_a_gap_reads_as_zero_where_the_model_allows_it_and_is_exception_2_elsewhere(strict):
    words = pump().read(Table.INPUT, 0, 12, now_s=NOW_S)
    assert not isinstance(words, ExceptionCode)
    assert len(words) == 12
    assert words[7:10] == (0, 0, 0)
    assert strict.read(Table.INPUT, 0, 4, now_s=NOW_S) == ExceptionCode.ILLEGAL_DATA_ADDRESS


def test_half_of_a_wide_point_may_be_read(strict):
    assert strict.read(Table.INPUT, 3, 1, now_s=NOW_S) == (1,)


def test_the_poll_counter_counts_reads_of_itself_only():
    device = pump()
    assert [count_of(device) for _ in range(3)] == [1, 2, 3]
    device.read(Table.INPUT, 0, 10, now_s=NOW_S)
    device.read(Table.INPUT, 0, 11, now_s=NOW_S)  # half of it
    device.read(Table.INPUT, 0, 12, now_s=NOW_S, counted=False)  # an answer that gets lost
    assert count_of(device) == 4


def test_a_setting_keeps_what_was_written():
    device = pump()
    assert device.read(Table.HOLDING, 100, 2, now_s=NOW_S) == (3500, 5)
    assert device.write(100, (4200, 10), now_s=NOW_S) is None
    assert device.read(Table.HOLDING, 100, 2, now_s=NOW_S) == (4200, 10)


@pytest.mark.parametrize(
    ("address", "values", "code"),
    [
        (100, (5001,), 3),
        (99, (1,), 2),
        (100, (1, 2, 3), 2),  # ends outside
        (0, (1,), 2),  # an input register is not a holding register
    ],
)
def test_a_wrong_write_changes_nothing(address, values, code):
    device = pump()
    assert device.write(address, values, now_s=NOW_S) == ExceptionCode(code)
    assert device.read(Table.HOLDING, 100, 2, now_s=NOW_S) == (3500, 5)


def test_a_write_of_several_points_is_all_or_nothing():
    device = pump()
    assert device.write(100, (4200, 601), now_s=NOW_S) == ExceptionCode.ILLEGAL_DATA_VALUE
    assert device.read(Table.HOLDING, 100, 2, now_s=NOW_S) == (3500, 5)


def test_half_a_float_a_read_only_point_and_no_number_are_refused(strict):
    assert strict.write(10, (0,), now_s=NOW_S) == ExceptionCode.ILLEGAL_DATA_ADDRESS
    assert strict.write(12, (1,), now_s=NOW_S) == ExceptionCode.ILLEGAL_DATA_ADDRESS
    nan = struct.unpack(">2H", struct.pack(">f", float("nan")))
    assert strict.write(10, nan[::-1], now_s=NOW_S) == ExceptionCode.ILLEGAL_DATA_VALUE
    good = struct.unpack(">2H", struct.pack(">f", -1.5))
    assert strict.write(10, good[::-1], now_s=NOW_S) is None
    assert strict.value(strict.model.expect("limit"), NOW_S) == -1.5


def test_the_pressure_follows_a_new_setpoint_along_its_ramp():
    device = pump(seed=3)
    pressure = device.model.expect("pressure")
    running = device.model.expect("running")
    # A moment at which the pump has been running for a while and goes on doing so.
    start_s = next(
        NOW_S + i
        for i in range(600)
        if all(device.value(running, NOW_S + i + k) for k in range(-20, 31))
    )
    assert device.value(pressure, start_s) == pytest.approx(3.5, abs=0.1)
    assert device.write(100, (4500,), now_s=start_s) is None
    assert device.value(pressure, start_s) == pytest.approx(3.5, abs=0.1)
    assert device.value(pressure, start_s + 2.5) == pytest.approx(4.0, abs=0.1)
    assert device.value(pressure, start_s + 20) == pytest.approx(4.5, abs=0.1)


def test_a_hand_holds_a_measurement_and_is_told_what_it_cannot_do():
    device = pump()
    device.set_value("pressure", 1.25, NOW_S)
    assert device.read(Table.INPUT, 0, 1, now_s=NOW_S) == (1250,)
    for name, value in (("nothing", 1), ("poll_count", 1), ("setpoint", 5001), ("pressure", -1)):
        with pytest.raises(MistakeError):
            device.set_value(name, value, NOW_S)


def test_two_units_of_one_model_do_not_show_the_same():
    first = [pump(1).read(Table.INPUT, 0, 4, now_s=NOW_S + i) for i in range(60)]
    second = [pump(2).read(Table.INPUT, 0, 4, now_s=NOW_S + i) for i in range(60)]
    assert first != second
