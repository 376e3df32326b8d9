"""How full a line is planned, and the sentence for one that is too full."""

import pytest

from agent.buses.timing import line_timing
from agent.core.ports import BusSettings
from agent.core.utilisation import BusLoad, DeviceLoad, Pace, poll_ms, sentence
from shared.errors import MistakeError
from shared.ids import DeviceId


def load(*devices: tuple[str, float, int]) -> BusLoad:
    rows = tuple(
        DeviceLoad(device=DeviceId(name), poll_ms=ms, interval_ms=interval)
        for name, ms, interval in devices
    )
    return BusLoad(bus="rs485", devices=rows)


@pytest.mark.parametrize(
    ("url", "character_us", "silence_us"),
    [
        ("serial:///dev/ttyS0?baud=9600", 1_042, 3_646),
        ("serial:///dev/ttyS0?baud=9600&parity=E", 1_146, 4_010),
        ("serial:///dev/ttyS0?baud=9600&parity=E&stop=2&bits=7", 1_146, 4_010),
        ("serial:///dev/ttyS0?baud=115200&parity=E", 95, 1_750),
        ("rtu+tcp://10.0.0.1:4001?baud=1200", 9_167, 32_083),
        ("rtu+tcp://10.0.0.1:4001", 0, 0),
        ("tcp://10.0.0.1", 0, 0),
    ],
)
def test_the_pace_of_a_line_follows_from_its_url(url: str, character_us: int, silence_us: int):
    timing = line_timing(BusSettings(name="b", url=url))
    assert round(timing.seconds_per_byte * 1e6) == character_us
    assert round(timing.silence_s * 1e6) == silence_us


def test_a_line_without_speed_has_no_pace():
    with pytest.raises(MistakeError, match="the line's speed is missing"):
        line_timing(BusSettings(name="b", url="serial:///dev/ttyS0"))


def test_a_poll_costs_its_bytes_and_the_pauses_of_each_request():
    pace = Pace(seconds_per_byte=0.001, silence_s=0.004, turnaround_s=0.006)
    assert poll_ms([(8, 23), (8, 9)], pace) == pytest.approx(48 + 20)
    assert poll_ms([], pace) == 0


def test_ninety_percent_fits_and_a_little_more_does_not():
    assert load(("a", 45.0, 100), ("b", 45.0, 100)).fits
    assert not load(("a", 45.0, 100), ("b", 45.1, 100)).fits


def test_the_sentence_names_the_largest_and_what_would_do():
    what, mend = sentence(load(("a", 50, 1_000), ("b", 900, 1_000), ("c", 10, 1_000)))
    assert what == (
        "bus 'rs485' would be busy 96% of the time, 90% is the most that leaves room for repeats "
        "and commands: b takes 900 ms every 1 s (90%), a takes 50 ms every 1 s (5%), c takes 10 ms "
        "every 1 s (1%)"
    )
    assert mend.startswith("poll b every 1.1 s, poll fewer points")
    assert load(("a", 50, 1_000), ("b", 900, 1_100), ("c", 10, 1_000)).fits


def test_where_everybody_is_too_much_everybody_is_named():
    what, mend = sentence(load(*((f"d{n}", 46.0, 1_000) for n in range(31))))
    assert "busy 143% of the time" in what
    assert what.endswith("and 28 more")
    assert mend.startswith("poll all of them 1.6 times less often")
