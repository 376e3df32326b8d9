"""The link's section of the configuration: budgets, hours, zone, and every mistake's sentence."""

from pathlib import Path

import pytest

from agent.config import load_config
from agent.config_uplink import zone_of
from agent.core.budget import BudgetSettings
from agent.core.settings import UplinkSettings, WindowSettings
from shared.errors import MistakeError


def uplink(folder: Path, text: str) -> UplinkSettings:
    path = folder / "agent.toml"
    path.write_text(f"[uplink]\n{text}\n")
    return load_config(path).uplink


def test_without_keys_nothing_is_limited_and_the_line_is_always_open(tmp_path):
    settings = uplink(tmp_path, "")
    assert not settings.budget.is_limited
    assert (settings.window, settings.time_zone) == (None, "UTC")


def test_another_address_is_read_and_one_in_clear_text_is_not(tmp_path):
    assert uplink(tmp_path, 'endpoint = "https://b.example"').endpoint == "https://b.example"
    with pytest.raises(MistakeError, match=r"line 2: .*clear text"):
        uplink(tmp_path, 'endpoint = "http://b.example"')


def test_budgets_hours_and_zone_are_read(tmp_path):
    settings = uplink(
        tmp_path,
        "data_budget_day_kb = 5000\ndata_budget_month_kb = 100000\n"
        'connection_window = { cron = "0 2 * * *", minutes = 30 }\n'
        'time_zone = "Europe/Madrid"',
    )
    assert settings.budget == BudgetSettings(day_bytes=5_000_000, month_bytes=100_000_000)
    assert settings.window == WindowSettings(cron="0 2 * * *", minutes=30)
    assert str(zone_of(settings.time_zone)) == "Europe/Madrid"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("data_budget_day_kb = 3", "leaves no room for a day's signs of life"),
        ("data_budget_month_kb = 100", "allow 310 or more, or 0"),
        ("data_budget_day_kb = -1", "is not a whole number from 0"),
        ('connection_window = { cron = "at two", minutes = 30 }', "is no time of day"),
        ('connection_window = { cron = "0 2 * * *" }', "minutes is missing"),
        ('connection_window = { cron = "0 2 * * *", minutes = 1440 }', "from 1 to 1439"),
        ('connection_window = "0 2 * * *"', "connection_window is a table"),
        ('connection_window = { corn = "0 2 * * *", minutes = 3 }', "did you mean 'cron'?"),
        ('time_zone = "Europe/Atlantis"', "there is no time zone 'Europe/Atlantis'"),
        ('time_zone = "../../etc/passwd"', "there is no time zone"),
        ("long_poll = true\nmetered = true", "switch one of the two off"),
    ],
)
def test_each_mistake_is_one_sentence_with_its_line(tmp_path, text, says):
    with pytest.raises(MistakeError) as caught:
        uplink(tmp_path, text)
    assert says in str(caught.value)
    assert "agent.toml line" in str(caught.value)
