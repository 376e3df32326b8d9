"""Models: the shipped ones keep their registers, a wrong one is refused with the reason."""

import doctest
import importlib
import json

import pytest

from firmware_sim.commands.models import models_json, models_text
from firmware_sim.model import Table
from firmware_sim.model_file import load_model, parse_model
from firmware_sim.models import find_model, shipped_models
from shared import limits
from shared.errors import MistakeError

PUMP_MAP = {
    "pressure": ("input", 0, "uint16", -3),
    "flow": ("input", 1, "uint16", -2),
    "motor_current": ("input", 2, "uint16", -2),
    "motor_temperature": ("input", 3, "int16", -1),
    "energy": ("input", 4, "uint32", 0),
    "running": ("input", 6, "uint16", 0),
    "poll_count": ("input", 10, "uint32", 0),
    "setpoint": ("holding", 100, "uint16", 0),
    "ramp_seconds": ("holding", 101, "uint16", 0),
}


def test_the_pump_keeps_the_registers_that_profiles_were_written_for():
    points = find_model("pump").points
    shown = {p.name: (p.table.value, p.address, p.kind.value, p.scale) for p in points}
    assert shown == PUMP_MAP
    setpoint = find_model("pump").expect("setpoint")
    assert (setpoint.low, setpoint.high, setpoint.default) == (0, 5000, 3500)


@pytest.mark.parametrize("model", shipped_models(), ids=lambda model: model.name)
def test_every_shipped_model_counts_polls_allows_gaps_and_has_a_setting(model):
    assert model.allow_gaps
    counter = model.expect("poll_count")
    assert counter.is_poll_count
    assert counter.table is Table.INPUT
    assert any(point.writable for point in model.points)
    # One read of 125 registers takes them all, counter included.
    inputs = [point for point in model.points if point.table is Table.INPUT]
    assert max(point.end for point in inputs) <= 125


def test_the_list_shows_every_register_to_people_and_to_programs():
    text = models_text([])
    assert all(name in text for name in ("pump", "meter", "soil", *PUMP_MAP))
    (model,) = json.loads(models_json(["pump"]))
    assert [p["name"] for p in model["points"]] == list(PUMP_MAP)
    setpoint = next(p for p in model["points"] if p["name"] == "setpoint")
    assert (setpoint["min"], setpoint["max"], setpoint["default"]) == (0, 5000, 3500)


def test_a_model_of_your_own_is_named_by_its_file(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('name = "mine"\n[[point]]\nname = "x"\naddress = 7\n')
    assert find_model(str(path)).points[0].address == 7


POINT = '[[point]]\nname = "x"\naddress = 1\n'
BAD = {
    "not TOML": "name = ",
    "no point": 'name = "m"',
    "no name": POINT,
    "bad name": 'name = "My Model"\n' + POINT,
    "unknown entry": 'name = "m"\ncolour = 1\n' + POINT,
    "unknown point entry": 'name = "m"\n' + POINT + "colour = 1",
    "bad flag": 'name = "m"\nallow_gaps = "no"\n' + POINT,
    "bad word order": 'name = "m"\nword_order = "middle"\n' + POINT,
    "not ASCII": 'name = "m"\nvendor = "ü"\n' + POINT,
    "long text": f'name = "m"\nvendor = "{"v" * 61}"\n' + POINT,
    "same name twice": 'name = "m"\n' + POINT + '[[point]]\nname = "x"\naddress = 5\n',
    "overlap": 'name = "m"\n' + POINT + 'type = "int32"\n[[point]]\nname = "y"\naddress = 2\n',
    "address": 'name = "m"\n[[point]]\nname = "x"\naddress = 65536\n',
    "end": 'name = "m"\n[[point]]\nname = "x"\naddress = 65535\ntype = "float32"\n',
    "type": 'name = "m"\n' + POINT + 'type = "int64"',
    "scale": 'name = "m"\n' + POINT + "scale = 10",
    "scaled float": 'name = "m"\n' + POINT + 'type = "float32"\nscale = -1',
    "table": 'name = "m"\n' + POINT + 'table = "coil"',
    "writable input": 'name = "m"\n' + POINT + "writable = true",
    "range": 'name = "m"\n' + POINT + 'table = "holding"\nmin = 5\nmax = 1',
    "range of type": 'name = "m"\n' + POINT + 'table = "holding"\nmin = -1',
    "default": 'name = "m"\n' + POINT + 'table = "holding"\nmax = 10\ndefault = 11',
    "holding signal": 'name = "m"\n'
    + POINT
    + 'table = "holding"\nwritable = true\nsignal = {kind = "running"}',
    "signal": 'name = "m"\n' + POINT + 'signal = "daily"',
    "narrow counter": 'name = "m"\n' + POINT + 'signal = {kind = "polls"}',
    "follows nothing": 'name = "m"\n' + POINT + 'follows = "y"',
    "ramp of an input": 'name = "m"\n' + POINT + 'ramp = "x"',
    "point is no table": 'name = "m"\npoint = [1]',
}


@pytest.mark.parametrize("text", BAD.values(), ids=BAD.keys())
def test_an_impossible_model_gets_one_sentence_with_its_place(text):
    with pytest.raises(MistakeError, match=r"here\.toml") as caught:
        parse_model(text, where="here.toml")
    assert "\n" not in str(caught.value)


def test_a_file_that_is_missing_too_long_or_no_text_is_refused(tmp_path):
    long, binary = tmp_path / "long.toml", tmp_path / "binary.toml"
    long.write_text("#" * (limits.PROFILE_BYTES + 1))
    binary.write_bytes(b"\xff\xfe")
    for path in (long, binary, tmp_path / "none.toml"):
        with pytest.raises(MistakeError):
            load_model(path)
    with pytest.raises(MistakeError, match="pump"):
        find_model("toaster")


@pytest.mark.parametrize("name", ["noise", "faults", "address", "modbus.rtu"])
def test_the_examples_in_the_documentation_are_true(name):
    module = importlib.import_module(f"firmware_sim.{name}")
    result = doctest.testmod(module)
    assert result.attempted > 0
    assert result.failed == 0
