"""What a profile says of an SMP device and its firmware, and the sentences for what cannot be."""

import re

import pytest

from shared.errors import MistakeError
from shared.model.firmware import Assertion
from shared.model.profile import Profile, parse_profile
from shared.model.smp_address import SmpAddress
from tests.docs import DOCS
from tests.smp_parts import KEY
from tests.smp_site import PROFILE


def parse(text: str) -> Profile:
    return parse_profile(text, source="p.toml")


def test_a_profile_says_where_points_live_and_how_firmware_gets_in():
    found = parse(PROFILE)
    assert found.points[1].at == SmpAddress("stat", "sensors", "p1_temp", "int16")
    assert found.firmware is not None
    assert found.firmware.key == KEY.public_key().public_bytes_raw()
    assert (found.firmware.device_class, found.firmware.boot_s) == ("soil-node", 10)
    assert found.health == (Assertion(point="self_check", low=1, high=1),)


def test_the_example_of_the_page_is_a_profile():
    page = (DOCS / "firmware.md").read_text()
    text = next(one for one in re.findall(r"```toml\n(.*?)```", page, re.DOTALL) if "[firm" in one)
    assert parse(text).points[2].at == SmpAddress("setting", "sensor/interval", "", "uint32")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("boot_s = 10", "boot_s = 11"),
        ('class = "soil-node"', 'class = "rain-node"'),
        ("equals = 1", "equals = 0"),
        ("soak_s = 0", "soak_s = 1"),
        ('field = "p1_temp", type = "int16"', 'field = "p1_temp"'),
        (KEY.public_key().public_bytes_raw().hex(), "00" * 32),
    ],
)
def test_whatever_an_update_depends_on_is_in_the_hash(before: str, after: str):
    assert before in PROFILE
    assert parse(PROFILE.replace(before, after)).content_hash != parse(PROFILE).content_hash


@pytest.mark.parametrize(
    ("before", "after", "complaint"),
    [
        ('stat = "node", field = "boots", type = "uint32"', 'stat = "node", field = "self_check"',
         "'boots' is where 'self_check' is already"),
        ('stat = "node", field = "boots", type = "uint32"', "type = 'int8'", "is either a field"),
        ('stat = "node", field = "boots", type = "uint32"', 'setting = "a", field = "b"',
         "a setting has no fields"),
        ('stat = "node", field = "boots"', 'stat = "", field = "boots"', "stat has 1 to 64"),
        ('stat = "node", field = "boots"', 'stat = "node", file = "/a"', "is either a field"),
        ('stat = "node", field = "boots"', 'file = "/a", field = "size"', "has its own type"),
        ('stat = "node", field = "boots", type = "uint32"', 'file = "/a", field = "mode"', "size"),
        ('type = "int16"', 'type = "float32"', "type"),
        ("scale = 0.001", "writable = true", "a file cannot be written; only a setting"),
        ('protocol = "smp"', 'protocol = "modbus"', "unknown key"),
        ("boot_s = 10", "boot_s = 0", "boot_s = 0 is not a whole number from 1 to 3600"),
        (KEY.public_key().public_bytes_raw().hex(), "abcd", "key is no Ed25519 public key"),
        ('class = "soil-node"', 'class = "Soil Node"', "no name of a class"),
        ("equals = 1", "", "it says either equals, or min and max"),
        ("equals = 1", "equals = 1\nmin = 0", "it says either equals, or min and max"),
        ("equals = 1", "min = 2\nmax = 1", "min 2 is above max 1"),
        ('point = "self_check"', 'point = "colour"', "'colour' is no point of this profile"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_one_sentence(before: str, after: str, complaint: str):
    assert before in PROFILE
    with pytest.raises(MistakeError) as refused:
        parse(PROFILE.replace(before, after))
    assert complaint in str(refused.value)
    assert "p.toml line" in str(refused.value)


def test_firmware_is_for_devices_that_take_it():
    text = PROFILE.replace('protocol = "smp"', 'protocol = "modbus"')
    for at in re.findall(r"at = \{.*?\}", text):
        number = text.index(at)
        text = text.replace(at, f'at = {{ table = "input", address = {number}, type = "uint16" }}')
    with pytest.raises(MistakeError, match="no firmware gets into a device by modbus"):
        parse(text)


@pytest.mark.parametrize(
    ("number", "count"), [(65_534, -2), (-2, -2), (32_767, 32_767), (65_536, None), (-32_769, None)]
)
def test_a_statistic_is_what_its_type_says(number: int, count: int | None):
    assert SmpAddress("stat", "g", "f", "int16").counted(number) == count
