"""Judging keys that cannot be, in a profile and in an agent's configuration: line and mend."""

from pathlib import Path

import pytest

from agent.config import load_config
from shared.errors import MistakeError
from shared.model.judging import EVERYTHING, Judging
from shared.model.profile import parse_profile

PROFILE = """profile = 1
name = "tank"
kind = "tank"
protocol = "modbus"
[[point]]
name = "level"
at = { table = "input", address = 0, type = "uint16" }
KEYS
[[point]]
name = "level_max"
kind = "state"
at = { table = "input", address = 1, type = "uint16" }
[[point]]
name = "energy"
kind = "counter"
at = { table = "input", address = 2, type = "uint32" }
"""
AGENT = """[[bus]]
name = "lan"
url = "tcp://10.0.0.1"
[[device]]
id = "tank"
bus = "lan"
address = 1
profile = "tank.toml"
"""


@pytest.mark.parametrize(
    ("keys", "line", "sentence"),
    [
        ("deadband = -1", 8, 'deadband = -1 is no band; write a number from 0, or "2 %"'),
        ('deadband = "100 %"', 8, "deadband = 100 % is no band"),
        ('deadband = "much"', 8, "deadband = 'much' is not a number"),
        ("deadband = 1\ndoor = 2", 9, "a point has a deadband or a door, not both"),
        ("door = 0", 8, "door = 0 is no band; a deadband of 0 keeps changes"),
        ("heartbeat_s = 60", 8, "every reading is kept anyway; add a deadband or a door"),
        ("deadband = 1\nheartbeat_s = -1", 9, "heartbeat_s = -1 is not a whole number from 0 to"),
        ('aggregate = ["median"]', 8, "aggregate is a list of min, max, mean, last, count"),
        ('aggregate = ["min", "min"]', 8, "an aggregate is named twice"),
        ('aggregate = ["increase"]', 8, "a gauge has no increase"),
        ('aggregate = ["max"]', 8, "'level_max', the channel of its max, is the name of a point"),
        ("aggregate_interval_s = 60", 8, "there is no aggregate"),
        ('aggregate = ["min"]\naggregate_interval_s = 0', 9, "an interval has a length"),
        ("raw = false", 8, "nothing of this point would be kept; add an aggregate"),
        ("modulus = 100", 8, "only a counter begins again"),
        ("priority = 3", 8, "priority = 3 is not a whole number from 0 to 2"),
        ("priority = 0", 8, "every reading of this point would call the coordinator at once; add"),
        ("deadband = 0\npoll = false", 9, "a point that is not polled has nothing to judge"),
        ("deadbend = 0", 8, "unknown key 'deadbend'; did you mean 'deadband'?"),
    ],
)
def test_a_profile_says_where_its_judging_is_wrong(keys: str, line: int, sentence: str):
    with pytest.raises(MistakeError) as refused:
        parse_profile(PROFILE.replace("KEYS", keys), source="tank.toml")
    assert str(refused.value).startswith(f"tank.toml line {line}: {sentence}")


@pytest.mark.parametrize(
    ("text", "line", "sentence"),
    [
        ("[device.points.levle]\ndeadband = 1", 9, "unknown key 'levle'; did you mean 'level'?"),
        ("[device.points.level]\ndoor = -1", 10, "door = -1 is no band"),
        ("[device.points.level_max]\ndoor = 1", 10, "a state has no line to follow"),
        ('[device.points.level_max]\naggregate = ["mean"]', 10, "a state has no mean"),
        ("[device.points.energy]\nmodulus = 0", 10, "a modulus is above 0"),
        ("[device.points.level]\nunit = 'm'", 10, "unknown key 'unit'"),
        ('[device.points.level]\naggregate = ["max"]', 10, "'level_max', the channel of its max"),
    ],
)
def test_a_configuration_says_where_its_judging_is_wrong(
    tmp_path: Path, text: str, line: int, sentence: str
):
    (tmp_path / "tank.toml").write_text(PROFILE.replace("KEYS", ""))
    path = tmp_path / "agent.toml"
    path.write_text(AGENT + text)
    with pytest.raises(MistakeError) as refused:
        load_config(path)
    assert f"agent.toml line {line}: {sentence}" in str(refused.value)


def test_a_device_differs_from_its_profile_only_where_its_file_says_so(tmp_path: Path):
    (tmp_path / "tank.toml").write_text(
        PROFILE.replace("KEYS", 'deadband = 0.5\nheartbeat_s = 60\naggregate = ["mean"]')
    )
    path = tmp_path / "agent.toml"
    path.write_text(AGENT + '[device.points.level]\ndeadband = "2.5 %"\npriority = 0\n')
    [device] = load_config(path).devices
    level, state, _ = device.profile.points
    assert level.judging == Judging(deadband=0.5, heartbeat_ms=60_000, aggregate=("mean",))
    assert device.judging_of(level) == Judging(
        deadband=2.5, percent=True, heartbeat_ms=60_000, aggregate=("mean",), priority=0
    )
    assert device.judging_of(state) == EVERYTHING
    assert device.channels == 4


def test_an_aggregate_alone_keeps_no_readings_unless_asked():
    def level(keys: str) -> Judging:
        return parse_profile(PROFILE.replace("KEYS", keys), source="x").points[0].judging

    assert not level('aggregate = ["mean"]').raw
    assert level('aggregate = ["mean"]\nraw = true').raw
    assert level('aggregate = ["mean"]\ndoor = 1').raw
