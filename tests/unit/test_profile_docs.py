"""docs/profiles.md shows a profile that works, and sentences that really appear."""

import re
from pathlib import Path

import pytest

from agent.buses.factory import open_bus
from agent.core.ports import BusSettings
from shared.errors import MistakeError
from shared.model.profile import parse_profile
from tests.unit.test_profile_mistakes import GOOD

PAGE = (Path(__file__).parents[2] / "docs" / "profiles.md").read_text()


def test_the_profile_on_the_page_is_a_profile():
    [text] = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    profile = parse_profile(text, source="docs/profiles.md")
    assert [point.name for point in profile.points] == ["pressure", "energy", "setpoint", "relay"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("address = 100", "adress = 100"),
        ("max = 5000", "max = 65536"),
        (
            "address = 1 }\n",
            'address = 1 }\n[[point]]\nname = "b"\nat = {table="holding",address=100,type="int16"}',
        ),
    ],
)
def test_the_mistakes_on_the_page_are_those_that_appear(before: str, after: str):
    with pytest.raises(MistakeError) as caught:
        parse_profile(GOOD.replace(before, after), source="pump.toml")
    assert str(caught.value) in PAGE


def test_the_ports_on_the_page_can_be_opened():
    urls = re.findall(r"^\| `([a-z+]+://[^`]+)`", PAGE, re.MULTILINE)
    assert len(urls) == 6
    for url in urls:
        assert open_bus(BusSettings(name="b", url=url)).settings.url == url
