"""What a profile's text means once it is accepted."""

from decimal import Decimal

import pytest

from agent.core.device import DeviceSettings, with_silence
from agent.core.ports import BusSettings
from shared.ids import DeviceId
from shared.model.profile import Profile, parse_profile
from shared.model.registers import RegisterAddress

PUMP = """
profile = 1
name = "pump-controller"
kind = "pump"
protocol = "modbus"

[limits]
max_registers = 60
silence_ms = 20

[[point]]
name = "pressure"
at = { table = "input", address = 0, type = "int16" }
scale = "0.01"
unit = "bar"

[[point]]
name = "energy"
at = { table = "input", address = 10, type = "uint32", word_order = "little" }
kind = "counter"
unit = "kW.h"
poll = false

[[point]]
name = "setpoint"
at = { table = "holding", address = 100, type = "uint16" }
writable = true
min = 0
max = 50.5
scale = 0.1
verify = "read_back"

[[point]]
name = "running"
at = { table = "discrete", address = 3 }
"""


def pump() -> Profile:
    return parse_profile(PUMP, source="pump.toml")


def test_points_keep_their_address_apart_from_their_meaning():
    pressure, energy, setpoint, running = pump().points
    assert pressure.at == RegisterAddress("input", 0, "int16")
    assert (pressure.scale, pressure.unit, pressure.kind) == (Decimal("0.01"), "bar", "gauge")
    word = (energy.register.word_order, energy.register.count)
    assert (*word, energy.kind) == ("little", 2, "counter")
    assert (setpoint.writable, setpoint.minimum, setpoint.maximum) == (True, 0, 50.5)
    assert (running.register.type, running.kind, running.writable) == ("bit", "state", False)


def test_what_is_polled_leaves_out_what_is_read_on_demand():
    profile = pump()
    assert [point.name for point in profile.polled] == ["pressure", "setpoint", "running"]
    assert profile.point("energy") is profile.points[1]
    assert profile.point("nothing") is None


def test_limits_that_are_not_given_are_the_protocols():
    limits = pump().limits
    assert (limits.max_registers, limits.max_gap, limits.silence_ms) == (60, 8, 20)


def test_a_scale_is_the_same_as_text_and_as_number():
    as_number = PUMP.replace('scale = "0.01"', "scale = 0.01")
    assert parse_profile(as_number, source="x") == pump()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("scale = 0.1\n", "scale = 0.10\n"),
        ("scale = 0.1\n", "scale = 1e-1\n"),
        ("min = 0\n", "min = 0.0\n"),
        ("[limits]", "# a comment\n[limits]\nmax_gap = 8"),
    ],
)
def test_texts_that_mean_the_same_have_the_same_hash(before: str, after: str):
    assert before in PUMP
    assert parse_profile(PUMP.replace(before, after), source="x").content_hash == (
        pump().content_hash
    )


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("pump-controller", "pump-controller-2"),
        ('"pump"', '"booster"'),
        ("max_registers = 60", "max_registers = 61"),
        ("silence_ms = 20", "silence_ms = 21"),
        ('"pressure"', '"pressure2"'),
        ("address = 0", "address = 1"),
        ('"int16"', '"uint16"'),
        (', word_order = "little"', ""),
        ('"0.01"', '"0.02"'),
        ("scale = 0.1\n", "scale = 0.1\noffset = -1\n"),
        ('"bar"', '"Pa"'),
        ('kind = "counter"', 'kind = "state"'),
        ("poll = false", "poll = true"),
        ("writable = true", "writable = false"),
        ("min = 0", "min = 1"),
        ("max = 50.5", "max = 50.6"),
    ],
)
def test_every_difference_in_meaning_changes_the_hash(before: str, after: str):
    text = PUMP.replace(before, after)
    if "writable = false" in text:
        text = text.replace('verify = "read_back"\n', "")
    assert text != PUMP
    assert parse_profile(text, source="x").content_hash != pump().content_hash


def test_at_may_be_a_table_of_its_own():
    text = PUMP.replace(
        'at = { table = "discrete", address = 3 }', '[point.at]\ntable = "discrete"\naddress = 3'
    )
    assert parse_profile(text, source="x") == pump()


def test_a_device_is_selected_by_its_own_labels_and_those_every_device_has():
    device = DeviceSettings(
        id=DeviceId("pump-1"),
        bus="rs485",
        address=7,
        profile=pump(),
        labels={"hall": "north", "kind": "forged"},
    )
    assert device.selector_labels() == {
        "hall": "north",
        "id": "pump-1",
        "kind": "pump",
        "profile": "pump-controller",
    }


def test_a_port_is_as_slow_as_its_slowest_device():
    device = DeviceSettings(id=DeviceId("pump-1"), bus="rs485", address=7, profile=pump())
    rs485 = BusSettings(name="rs485", url="serial:///dev/ttyS0?baud=9600")
    other = BusSettings(name="lan", url="tcp://127.0.0.1")
    assert with_silence(rs485, [device]).inter_frame_ms == 20
    assert with_silence(other, [device]).inter_frame_ms == other.inter_frame_ms
    assert with_silence(rs485, []) == rs485
