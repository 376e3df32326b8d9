"""What is polled and when: offsets, late ticks, patience, and who goes first."""

from itertools import pairwise

from agent.core.device import DeviceSettings
from agent.core.sampler import (
    PollGroup,
    Standing,
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
    while (due := table.next_due(MonoMs(now_ms))) is not None and max(due, now_ms) < until_ms:
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
    assert Timetable([pump], now_ms=due).next_due(due) == due


def test_nothing_is_polled_before_it_is_due():
    table = Timetable([group("pump-1")], now_ms=MonoMs(0))
    due = table.next_due(MonoMs(0))
    assert due is not None
    assert table.take(MonoMs(due - 1)) is None


def test_late_ticks_coalesce_into_one_poll():
    table = Timetable([group("pump-1")], now_ms=MonoMs(0))
    first = table.next_due(MonoMs(0))
    assert first is not None
    assert table.take(MonoMs(first + 4_300)) is not None
    assert table.take(MonoMs(first + 4_300)) is None
    assert table.coalesced == 4
    assert table.next_due(MonoMs(0)) == first + 5_000


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
    assert Timetable([], now_ms=MonoMs(0)).next_due(MonoMs(0)) is None


def known(table: Timetable, *names: str) -> Timetable:
    """The table, once these devices have answered."""
    for name in names:
        table.answered(DeviceId(name), now_ms=MonoMs(0))
    return table


def missed(table: Timetable, name: str, now_ms: int, *, took_ms: int = 0) -> None:
    table.silent(DeviceId(name), began_ms=MonoMs(now_ms - took_ms), now_ms=MonoMs(now_ms))


def test_one_failure_changes_nothing():
    table = known(Timetable([group("a")], now_ms=MonoMs(0)), "a")
    due = table.next_due(MonoMs(0))
    assert due is not None
    table.take(due)
    missed(table, "a", due + 100)
    assert table.next_due(MonoMs(due + 100)) == due + 1_000
    assert table.standing(DeviceId("a")) is Standing.LIVE


def test_a_device_that_was_there_is_degraded_after_two_failures():
    table = known(Timetable([group("dead"), group("alive")], now_ms=MonoMs(0)), "dead", "alive")
    polls: list[tuple[int, str]] = []
    now_ms = 0
    while now_ms < 3_600_000:
        due = table.next_due(MonoMs(now_ms))
        assert due is not None
        now_ms = max(now_ms, due)
        taken = table.take(MonoMs(now_ms))
        assert taken
        polls.append((now_ms, taken.device))
        if taken.device == "dead":
            took_ms = 1_000 if table.is_probe(taken.device) else 300
            now_ms += took_ms
            missed(table, "dead", now_ms, took_ms=took_ms)
        else:
            table.answered(taken.device, now_ms=MonoMs(now_ms))
    dead = [at for at, name in polls if name == "dead"]
    pauses = [(after - before) // 1_000 for before, after in pairwise(dead)]
    assert pauses[:6] == [1, 60, 121, 241, 481, 601]
    assert set(pauses[6:]) == {601}
    assert table.standing(DeviceId("dead")) is Standing.DEGRADED
    assert sum(name == "alive" for _, name in polls) >= 0.99 * 3_600


def test_a_device_nobody_knows_is_asked_again_at_once_where_that_holds_up_nobody():
    table = Timetable([group("a", 60_000)], now_ms=MonoMs(0))
    assert table.standing(DeviceId("a")) is Standing.PROBING
    due = table.next_due(MonoMs(0))
    assert due is not None
    assert table.is_probe(DeviceId("a"))
    table.take(due)
    missed(table, "a", due + 200, took_ms=200)
    assert table.next_due(MonoMs(due + 200)) == due + 200
    assert table.take(MonoMs(due + 200)) is not None
    missed(table, "a", due + 1_200, took_ms=1_000)
    assert table.standing(DeviceId("a")) is Standing.DEGRADED
    assert (table.due_ms(DeviceId("a")) - due) // 1_000 in {61, 120}


def test_a_probe_waits_for_a_gap_between_the_polls_of_the_living():
    table = known(Timetable([group("dead", 60_000), group("alive", 1_500)], now_ms=MonoMs(0)))
    table.answered(DeviceId("alive"), now_ms=MonoMs(0))
    missed(table, "dead", 10)
    alive_ms = table.due_ms(DeviceId("alive"))
    # Too near to the next poll of the living one: 1,000 ms of silence would hold it up.
    taken = table.take(MonoMs(alive_ms - 999))
    assert taken is None
    assert table.next_due(MonoMs(alive_ms - 999)) == alive_ms
    assert table.take(MonoMs(alive_ms)) == table.groups[1]
    assert table.take(MonoMs(alive_ms + 100)) == table.groups[0]


def test_probes_share_a_busy_bus_without_gaps_by_their_length():
    table = Timetable([group("dead", 1_000), group("alive", 900)], now_ms=MonoMs(0))
    table.answered(DeviceId("alive"), now_ms=MonoMs(0))
    times: list[int] = []
    now_ms = 0
    missed(table, "dead", 0)
    while now_ms < 300_000:
        due = table.next_due(MonoMs(now_ms))
        assert due is not None
        now_ms = max(now_ms, due)
        taken = table.take(MonoMs(now_ms))
        assert taken
        if taken.device == "dead":
            times.append(now_ms)
            now_ms += 1_000
            missed(table, "dead", now_ms, took_ms=1_000)
    # Not in the beginning, when the living have to be found.
    assert times[0] >= 25_000
    assert min(after - before for before, after in pairwise(times)) >= 26_000


def test_a_bus_of_which_nobody_answers_probes_one_after_the_other():
    groups = [group(name, 60_000) for name in "abc"]
    table = Timetable(groups, now_ms=MonoMs(0))
    for name in "abc":
        missed(table, name, 60_000, took_ms=200)
    taken = []
    for now_ms in (60_000, 61_000, 62_000):
        one = table.take(MonoMs(now_ms))
        assert one
        taken.append(one.device)
        missed(table, one.device, now_ms + 1_000, took_ms=1_000)
    assert sorted(taken) == ["a", "b", "c"]


def test_a_device_that_answers_again_is_back_at_its_regular_times():
    table = known(Timetable([group("a")], now_ms=MonoMs(0)), "a")
    now_ms = 0
    for _ in range(4):
        due = table.next_due(MonoMs(now_ms))
        assert due is not None
        now_ms = due
        table.take(due)
        missed(table, "a", due)
    due = table.next_due(MonoMs(now_ms))
    assert due is not None
    table.take(due)
    table.answered(DeviceId("a"), now_ms=due)
    assert table.failures(DeviceId("a")) == 0
    assert table.standing(DeviceId("a")) is Standing.LIVE
    assert table.next_due(due) == next_slot(group("a"), due)


def test_a_device_polled_rarely_anyway_keeps_its_interval():
    slow = group("a", 900_000)
    table = known(Timetable([slow], now_ms=MonoMs(0)), "a")
    due = MonoMs(0)
    for _ in range(2):
        due = table.next_due(due) or due
        table.take(due)
        missed(table, "a", due)
    assert due > 0
    assert table.due_ms(DeviceId("a")) == next_slot(slow, due)


def test_devices_that_have_a_bus_to_themselves_are_polled_in_one_wake_up():
    table = channel_table([device("a", bus="1"), device("b", bus="2"), device("c", bus="3")])
    assert [one.offset_ms for one in table.groups] == [0, 0, 0]
    shared = channel_table([device("a"), device("b")])
    assert 0 not in [one.offset_ms for one in shared.groups]


def test_pauses_double_up_to_ten_minutes():
    assert [pause_ms(n) for n in (0, 1, 2, 3, 50)] == [0, 0, 60_000, 120_000, 600_000]
