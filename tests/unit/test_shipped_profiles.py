"""The profiles that come with the agent: named, valid, alike with the simulator's models."""

from pathlib import Path

import pytest

from agent.config import load_config
from shared.errors import MistakeError
from tests.driver_rigs import RIGS, SHIPPED, shipped

NAMES = sorted(path.stem for path in SHIPPED.glob("*.toml"))
WANTED = {
    *("generic-meter", "sunspec-inverter", "pump-controller", "soil-probe"),
    *("shelly-relay", "smp-sensor-node"),
}
CONFIG = """
[agent]
data_dir = "data"
[[bus]]
name = "b"
url = "{url}"
[[device]]
id = "one"
bus = "b"
profile = "{profile}"
{address}
"""


def load(folder: Path, profile: str, url: str, address: str):
    path = folder / "agent.toml"
    path.write_text(CONFIG.format(profile=profile, url=url, address=address))
    return load_config(path)


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_profile_is_called_like_its_file(name: str):
    assert shipped(name).name == name


def test_those_that_were_promised_are_there():
    assert set(NAMES) >= WANTED


@pytest.mark.parametrize(
    ("profile", "url", "address"),
    [
        ("generic-meter", "serial:///dev/ttyUSB0?baud=9600", "address = 247"),
        ("sunspec-inverter", "tcp://127.0.0.1", "address = 1"),
        ("shelly-relay", "http://127.0.0.1", ""),
        ("tank-gauge", "rtu+tcp://127.0.0.1:4001?baud=9600", "address = 255"),
        ("nmea-weather", "tcp://127.0.0.1:4001", ""),
        ("soil-probe", "serial:///dev/ttyUSB0?baud=1200&parity=E&bits=7", "address = 61"),
        ("smp-sensor-node", "udp://127.0.0.1", ""),
    ],
)
def test_a_configuration_names_a_shipped_profile(
    profile: str, url: str, address: str, tmp_path: Path
):
    config = load(tmp_path, profile, url, address)
    assert config.devices[0].profile.name == profile


def test_an_own_file_of_that_name_is_taken_instead(tmp_path: Path):
    text = (SHIPPED / "tank-gauge.toml").read_text().replace("tank-gauge", "own", 1)
    (tmp_path / "tank-gauge").write_text(text.replace('name = "tank-gauge"', 'name = "own"'))
    config = load(tmp_path, "tank-gauge", "tcp://127.0.0.1:4001", "address = 1")
    assert config.devices[0].profile.name == "own"


@pytest.mark.parametrize(
    ("profile", "url", "address", "sentence"),
    [
        ("shely-relay", "http://127.0.0.1", "", "did you mean 'shelly-relay'"),
        ("zzz", "http://127.0.0.1", "", "the agent comes with generic-meter"),
        ("tank-gauge", "tcp://127.0.0.1:4001", "address = 256", "from 0 to 255"),
        ("soil-probe", "serial:///dev/a?baud=1200", "address = 62", "from 0 to 61"),
        ("nmea-weather", "tcp://127.0.0.1:4001", "address = 1", "from 0 to 0"),
    ],
)
def test_what_no_device_can_be_is_refused(
    profile: str, url: str, address: str, sentence: str, tmp_path: Path
):
    with pytest.raises(MistakeError, match=sentence):
        load(tmp_path, profile, url, address)


def test_every_shipped_profile_is_proven_by_the_suite_of_drivers(tmp_path: Path):
    proven = {make(tmp_path).profile.name for make in RIGS.values()}
    assert set(NAMES) - proven == set()
