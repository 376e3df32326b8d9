"""What is polled and when: offsets, late ticks, patience, and who goes first."""

from itertools import pairwise

from agent.core.device import DeviceSettings
from agent.core.sampler import (
    PollGroup,
    Timetable,
    channel_table,
    next_slot,
    pause_ms,
)
from shared.clock import MonoMs
from shared.ids import DeviceId
from shared.model.profile import parse_profile

PUMP = parse_profile(
    """
profile = 1
name = "pump"
kind = "pump"
protocol = "modbus"
[[point]]
name = "pressure"
unit = "bar"
at = { table = "input", address = 0, type = "uint16" }
[[point]]
name = "setpoint"
poll = false
at = { table = "holding", address = 0, type = "uint16" }
[[point]]
name = "energy"
unit = "kW.h"
kind = "counter"
at = { table = "input", address = 1, type = "uint32" }
""",
    source="pump.toml",
)
SILENT = parse_profile(
    """
profile = 1
name = "relay"
kind = "relay"
protocol = "modbus"
[[point]]
name = "state"
poll = false
at = { table = "coil", address = 0 }
""",
    source="relay.toml",
)


def device(name: str, *, bus: str = "line", profile=PUMP, interval_ms: int = 1_000):
    return DeviceSettings(
        id=DeviceId(name), bus=bus, address=1, profile=profile, poll_interval_ms=interval_ms
    )


def group(name: str, interval_ms: int = 1_000) -> PollGroup:
    return PollGroup(
        device=DeviceId(name), bus="line", points=("p",), channels=(0,), interval_ms=interval_ms
    )


def run(table: Timetable, until_ms: int, *, busy_ms: int = 0, now_ms: int = 0) -> list:
    """Poll by the timetable until a time; each poll takes `busy_ms`. Returns (time, device)."""
    polls = []
    while (due := table.next_due()) is not None and max(due, now_ms) < until_ms:
        now_ms = max(now_ms, due)
        taken = table.take(MonoMs(now_ms))
        assert taken
        polls.append((now_ms, taken.device))
        now_ms += busy_ms
    return polls


def test_channels_stand_in_the_order_of_the_configuration():
    table = channel_table([device("a"), device("b", bus="other")])
    names = [(channel.device, channel.point, channel.unit) for channel in table.schema.channels]
    assert names == [
        ("a", "pressure", "bar"),
        ("a", "energy", "kW.h"),
        ("b", "pressure", "bar"),
        ("b", "energy", "kW.h"),
    ]
    assert [g.channels for g in table.groups] == [(0, 1), (2, 3)]
    assert [g.device for g in table.on_bus("other")] == ["b"]


def test_a_device_without_polled_points_is_not_polled():
    table = channel_table([device("relay-1", profile=SILENT), device("pump-1")])
    assert [g.device for g in table.groups] == ["pump-1"]


def test_the_readings_of_a_day_follow_from_the_intervals():
    table = channel_table([device("a"), device("b", interval_ms=60_000)])
    assert table.readings_per_day == 2 * 86_400 + 2 * 1_440


def test_an_offset_depends_on_the_name_only():
    # Stable for ever: a release that moved it would shift every series.
    assert group("pump-1", 60_000).offset_ms == 4_046
    assert group("pump-2", 60_000).offset_ms != 4_046


def test_slots_are_the_same_after_a_restart():
    pump = group("pump-1", 1_000)
    before = run(Timetable([pump], now_ms=MonoMs(0)), 10_000)
    after = run(Timetable([pump], now_ms=MonoMs(5_500)), 10_000)
    assert after == [poll for poll in before if poll[0] >= 5_500]
    assert len(before) == 10


def test_a_slot_that_is_due_right_now_is_not_missed():
    pump = group("pump-1", 1_000)
    due = next_slot(pump, 3_000)
    assert Timetable([pump], now_ms=due).next_due() == due


def test_nothing_is_polled_before_it_is_due():
    table = Timetable([group("pump-1")], now_ms=MonoMs(0))
    due = table.next_due()
    assert due is not None
    assert table.take(MonoMs(due - 1)) is None


def test_late_ticks_coalesce_into_one_poll():
    table = Timetable([group("pump-1")], now_ms=MonoMs(0))
    first = table.next_due()
    assert first is not None
    assert table.take(MonoMs(first + 4_300)) is not None
    assert table.take(MonoMs(first + 4_300)) is None
    assert table.coalesced == 4
    assert table.next_due() == first + 5_000


def test_an_overloaded_bus_polls_every_device_in_turn():
    groups = [group(name) for name in ("a", "b", "c")]
    polls = run(Timetable(groups, now_ms=MonoMs(0)), 60_000, busy_ms=800)
    counts = [sum(name == one for _, name in polls) for one in ("a", "b", "c")]
    assert max(counts) - min(counts) <= 1
    assert sum(counts) == len(polls) >= 74


def test_a_fast_device_does_not_starve_a_slow_one():
    groups = [group("fast", 100), group("slow", 5_000)]
    polls = run(Timetable(groups, now_ms=MonoMs(0)), 60_000, busy_ms=150)
    assert sum(name == "slow" for _, name in polls) == 12


def test_a_bus_without_polled_points_is_never_due():
    assert Timetable([], now_ms=MonoMs(0)).next_due() is None


def test_one_failure_changes_nothing():
    table = Timetable([group("a")], now_ms=MonoMs(0))
    due = table.next_due()
    assert due is not None
    table.take(due)
    table.silent(DeviceId("a"), now_ms=MonoMs(due + 100))
    assert table.next_due() == due + 1_000


def test_a_dead_device_is_asked_rarely_and_its_neighbour_as_always():
    groups = [group("dead"), group("alive")]
    table = Timetable(groups, now_ms=MonoMs(0))
    polls: list[tuple[int, str]] = []
    now_ms = 0
    while now_ms < 3_600_000:
        due = table.next_due()
        assert due is not None
        now_ms = max(now_ms, due)
        taken = table.take(MonoMs(now_ms))
        assert taken
        polls.append((now_ms, taken.device))
        if taken.device == "dead":
            now_ms += 2_000
            table.silent(taken.device, now_ms=MonoMs(now_ms))
        else:
            table.answered(taken.device, now_ms=MonoMs(now_ms))
    dead = [at for at, name in polls if name == "dead"]
    pauses = [(after - before) // 1_000 for before, after in pairwise(dead)]
    assert pauses[:6] == [2, 62, 122, 242, 482, 602]
    assert set(pauses[6:]) == {602}
    alive = sum(name == "alive" for _, name in polls)
    assert alive >= 0.99 * 3_600


def test_a_device_that_answers_again_is_back_at_its_regular_times():
    table = Timetable([group("a")], now_ms=MonoMs(0))
    for _ in range(4):
        due = table.next_due()
        assert due is not None
        table.take(due)
        table.silent(DeviceId("a"), now_ms=due)
    due = table.next_due()
    assert due is not None
    table.take(due)
    table.answered(DeviceId("a"), now_ms=due)
    assert table.failures(DeviceId("a")) == 0
    assert table.next_due() == next_slot(group("a"), due)


def test_a_device_polled_rarely_anyway_keeps_its_interval():
    slow = group("a", 900_000)
    table = Timetable([slow], now_ms=MonoMs(0))
    due = MonoMs(0)
    for _ in range(2):
        due = table.next_due() or due
        table.take(due)
        table.silent(DeviceId("a"), now_ms=due)
    assert due > 0
    assert table.due_ms(DeviceId("a")) == next_slot(slow, due)


def test_pauses_double_up_to_ten_minutes():
    assert [pause_ms(n) for n in (0, 1, 2, 3, 50)] == [0, 0, 60_000, 120_000, 600_000]
