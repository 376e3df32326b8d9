"""What is kept of a poll: quality, deadband, heartbeat, aggregates, doors, counters, priorities."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from agent.core.counter import Increase, increase
from agent.core.judge import Judge
from agent.core.ports import PointReading
from agent.core.sampler import channel_table
from shared.model.judging import Judging
from shared.model.profile import parse_profile
from shared.model.reading import Quality
from tests.agent_parts import device
from tests.judging_parts import GOOD, Bench, instant

MINUTE = 60_000
METER = """
profile = 1
name = "meter"
kind = "meter"
protocol = "modbus"
[[point]]
name = "energy"
kind = "counter"
at = {{ table = "input", address = 0, type = "uint16" }}
offset = {offset}
aggregate = ["increase"]
"""
COMM, RANGE, STALE = Quality.BAD_COMM, Quality.BAD_RANGE, Quality.STALE


def test_without_judging_every_reading_is_one_row():
    bench = Bench([Judging(), Judging()])
    [row] = bench.poll(instant(0), 1.5, 2)
    assert (row.channels, row.values, row.suppressed, row.priority) == ((0, 1), [1.5, 2], 0, 2)


def test_a_deadband_keeps_what_differs_from_the_last_one_kept():
    bench = Bench([Judging(deadband=0.5, heartbeat_ms=0)])
    for second, value in enumerate([10.0, 10.4, 10.5, 10.6, 10.2, 10.1]):
        bench.poll(instant(1_000 * second), value)
    assert [value for _, value, _ in bench.kept()] == [10.0, 10.6]
    assert (bench.suppressed, bench.recorded) == (4, 2)


def test_slow_drift_does_not_slip_through_a_deadband():
    bench = Bench([Judging(deadband=1.0, heartbeat_ms=0)])
    for second in range(100):
        bench.poll(instant(1_000 * second), second / 10)
    assert [value for _, value, _ in bench.kept()] == pytest.approx([1.1 * n for n in range(10)])


def test_a_deadband_in_percent_is_of_the_last_one_kept():
    bench = Bench([Judging(deadband=10.0, percent=True, heartbeat_ms=0)])
    for second, value in enumerate([100, 109, 111, 121, 123, -123, -115]):
        bench.poll(instant(1_000 * second), value)
    assert [value for _, value, _ in bench.kept()] == [100, 111, 123, -123]


@pytest.mark.parametrize("step", [-1, 1])
def test_a_step_of_exactly_the_band_is_within_it_wherever_it_is_taken(step: int):
    for tenths in range(1, 1_001):
        bench = Bench([Judging(deadband=0.1, heartbeat_ms=0)])
        for second, value in enumerate([tenths / 10, (tenths + step) / 10]):
            bench.poll(instant(1_000 * second), value)
        assert bench.suppressed == 1, tenths
        bench.poll(instant(2_000), (tenths * 1_000 + step * 1_001) / 10_000)
        assert bench.suppressed == 1, tenths


def test_a_hundredth_of_the_last_one_kept_is_compared_exactly_too():
    for tenths in range(1, 1_001):
        bench = Bench([Judging(deadband=10.0, percent=True, heartbeat_ms=0)])
        for second, value in enumerate([tenths / 10, tenths * 11 / 100]):
            bench.poll(instant(1_000 * second), value)
        assert bench.suppressed == 1, tenths


def test_a_deadband_of_zero_keeps_changes():
    bench = Bench([Judging(deadband=0.0, heartbeat_ms=0)])
    for second, value in enumerate([0, 0, 1, 1, 1, 0]):
        bench.poll(instant(1_000 * second), value)
    assert [at for at, _, _ in bench.kept()] == [0, 2_000, 5_000]


def test_a_heartbeat_keeps_a_reading_that_says_nothing_new():
    bench = Bench([Judging(deadband=5.0, heartbeat_ms=15 * MINUTE)])
    for minute in range(61):
        bench.poll(instant(minute * MINUTE), 20.0)
    assert [at // MINUTE for at, _, _ in bench.kept()] == [0, 15, 30, 45, 60]
    assert (bench.suppressed, bench.recorded) == (56, 5)


@pytest.mark.parametrize(
    "judging",
    [
        Judging(deadband=100.0, heartbeat_ms=0),
        Judging(door=100.0, heartbeat_ms=0),
        Judging(raw=False, aggregate=("mean",)),
    ],
)
def test_a_change_of_quality_is_never_held_back(judging: Judging):
    bench = Bench([judging])
    cells: list[Any] = [
        1.0,
        1.0,
        COMM,
        COMM,
        (1.0, RANGE),
        (1.0, RANGE),
        1.0,
        1.0,
        (1.0, STALE),
        COMM,
        1.0,
    ]
    for second, cell in enumerate(cells):
        bench.poll(instant(1_000 * second), cell)
    kept = {(at, quality) for at, _, quality in bench.kept()}
    wanted = [(0, GOOD), (2, COMM), (4, RANGE), (6, GOOD), (8, STALE), (9, COMM), (10, GOOD)]
    assert {(1_000 * at, quality) for at, quality in wanted} <= kept


@pytest.mark.parametrize("judging", [Judging(deadband=0.0), Judging(door=0.1)])
def test_a_device_that_stays_silent_is_not_recorded_again_and_again(judging: Judging):
    bench = Bench([replace(judging, heartbeat_ms=15 * MINUTE)])
    for minute in range(31):
        bench.poll(instant(minute * MINUTE), COMM)
    assert [at // MINUTE for at, _, _ in bench.kept()] == [0, 15, 30]
    assert bench.suppressed + bench.recorded == bench.polled


def test_a_door_tells_of_a_silence_as_often_as_of_a_straight_line():
    bench = Bench([Judging(door=0.1, heartbeat_ms=15 * MINUTE)])
    for minute in range(5):
        bench.poll(instant(minute * MINUTE), 7)
    for minute in range(5, 40):
        bench.poll(instant(minute * MINUTE), COMM)
    silent = [at // MINUTE for at, _, quality in bench.kept() if quality is COMM]
    assert silent == [5, 20, 35]


def test_a_poll_of_which_nothing_is_kept_is_a_row_without_channels_that_counts():
    bench = Bench([Judging(deadband=1.0), Judging(deadband=1.0)])
    bench.poll(instant(0), 1, 2)
    [row] = bench.poll(instant(1_000), 1, 2)
    assert (row.channels, row.suppressed) == ((), 2)


def test_a_reading_that_is_held_back_leaves_its_cell_empty():
    bench = Bench([Judging(), Judging(deadband=1.0)])
    bench.poll(instant(0), 1, 2)
    [row] = bench.poll(instant(1_000), 1, 2.5)
    assert (row.channels, row.values, row.suppressed) == ((0, 1), [1, None], 1)


def test_a_reading_like_the_last_one_kept_fills_its_cell_where_a_row_is_there_anyway():
    bench = Bench([Judging(deadband=0.0), Judging(deadband=0.0)])
    bench.poll(instant(0), 1, 2)
    [row] = bench.poll(instant(1_000), 5, 2)
    assert (row.values, row.suppressed) == ([5, 2], 0)
    [row] = bench.poll(instant(2_000), 5, 2)
    assert (row.values, row.suppressed) == ((), 2)


def test_rules_see_every_reading_with_its_quality_settled():
    bench = Bench([Judging(deadband=100.0, stale_after_ms=2_000)])
    for second in range(4):
        bench.poll(instant(1_000 * second), 7)
    assert [seen.qualities for seen in bench.seen] == [[GOOD], [GOOD], [STALE], [STALE]]
    assert [seen.values for seen in bench.seen] == [[7]] * 4


def test_a_measurement_that_moves_again_is_good_again():
    bench = Bench([Judging(stale_after_ms=2_000)])
    for second, value in enumerate([7, 7, 7, 7, 8, 8]):
        bench.poll(instant(1_000 * second), value)
    assert [quality for _, _, quality in bench.kept()] == [GOOD, GOOD, STALE, STALE, GOOD, GOOD]


# --- aggregates ----------------------------------------------------------------------------------


def test_an_interval_becomes_one_row_of_its_aggregates():
    asked: Any = ("min", "max", "mean", "last", "count")
    bench = Bench([Judging(aggregate=asked, aggregate_interval_ms=MINUTE, raw=False)], decimals=1)
    for second in range(0, 121, 10):
        bench.poll(instant(1_000 * second), 20 + second / 10)
    first = [bench.kept(channel)[0] for channel in range(1, 6)]
    assert [value for _, value, _ in first] == [20.0, 25.0, 22.5, 25.0, 6]
    assert {at for at, _, _ in first} == {50_000}
    assert [len(bench.kept(channel)) for channel in range(6)] == [1, 2, 2, 2, 2, 2]
    # Readings and aggregates count, and so does what was held back.
    assert bench.suppressed == bench.polled - 1
    assert bench.recorded == 1 + 2 * 5


def test_an_interval_that_was_not_over_is_recorded_at_the_end_and_once():
    bench = Bench([Judging(aggregate=("mean", "count"), aggregate_interval_ms=MINUTE)])
    bench.poll(instant(0), 1)
    bench.poll(instant(10_000), 2)
    assert [row.values for row in bench.finish()] == [[1.5, 2]]
    assert bench.finish() == []


def test_an_interval_without_a_value_says_so_and_one_with_some_doubts():
    bench = Bench([Judging(aggregate=("max", "count"), aggregate_interval_ms=10_000, raw=False)])
    for second, cell in enumerate([COMM, COMM, COMM, 5, 4, COMM]):
        bench.poll(instant(4_000 * second), cell)
    bench.finish()
    assert bench.kept(1) == [(8_000, None, COMM), (16_000, 5, GOOD), (20_000, None, COMM)]
    assert [value for _, value, _ in bench.kept(2)] == [0, 2, 0]
    bench.poll(instant(30_000), 3)
    bench.poll(instant(34_000), (9, RANGE))
    bench.finish()
    assert bench.kept(1)[-1] == (34_000, 3, Quality.UNCERTAIN)


def test_a_mean_has_two_digits_more_than_its_point():
    bench = Bench([Judging(aggregate=("mean",), aggregate_interval_ms=MINUTE)], decimals=1)
    for second, value in enumerate([20.1, 20.1, 20.2]):
        bench.poll(instant(1_000 * second), value)
    [row] = bench.finish()
    assert row.values == [20.133]


def test_what_sums_up_an_interval_is_never_urgent():
    urgent = Judging(deadband=0.0, aggregate=("last",), aggregate_interval_ms=1_000, priority=0)
    bench = Bench([urgent])
    bench.poll(instant(0), 1)
    rows = bench.poll(instant(1_000), 2)
    assert [(row.channels, row.priority) for row in rows] == [((1,), 1), ((0,), 0)]


# --- counters ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "now", "modulus", "counted"),
    [
        (5, 9, 65_536, 4),
        (65_530, 4, 65_536, 10),
        (900, 7, 65_536, 7),
        (900, 0, None, 0),
        (999_990, 5, 1_000_000, 15),
        (6_553.5, 0.1, Decimal("6553.6"), Decimal("0.2")),
        ((1 << 64) - 1, 1, 1 << 64, 2),
        (5, -3, None, 0),
    ],
)
def test_a_counter_counts_across_its_modulus_and_its_resets(before, now, modulus, counted):
    assert increase(before, now, None if modulus is None else Decimal(modulus)) == counted


@pytest.mark.parametrize("zero", [1_000, -1_000, Decimal("0.5")])
def test_a_counter_with_an_offset_begins_again_there(zero):
    def counted(before, now):
        shown = (float(before + zero), float(now + zero))
        return increase(*shown, Decimal(65_536), Decimal(zero))

    assert (counted(5, 9), counted(65_530, 4), counted(900, 7)) == (4, 10, 7)


def test_the_increase_of_a_point_knows_its_offset():
    text = METER.format(offset=-1_000)
    meter = replace(device("meter"), profile=parse_profile(text, source="meter.toml"))
    [group] = channel_table([meter]).groups
    judge = Judge(meter.id, group.judged)
    for second, count in enumerate([65_530, 4, 900, 7]):
        judge.judge([PointReading("energy", count - 1_000, GOOD)], instant(1_000 * second))
    [row] = judge.finish()
    assert row.values == [10 + 896 + 7]


def test_a_counter_loses_nothing_to_faults_between_its_readings():
    judging = Judging(aggregate=("increase",), aggregate_interval_ms=10_000, modulus=Decimal(100))
    bench = Bench([judging])
    for second, cell in enumerate([10, 20, COMM, COMM, COMM, 50, 60, 95, 5, 9]):
        bench.poll(instant(4_000 * second), cell)
    bench.finish()
    assert [value for _, value, _ in bench.kept(1) if value is not None] == [10, 75, 14]
    # What is stored of the readings stays as it was read.
    assert [value for _, value, _ in bench.kept(0) if value is not None] == [
        10,
        20,
        50,
        60,
        95,
        5,
        9,
    ]


def test_tenths_add_up_to_tenths():
    counted = Increase(None)
    for tenths in range(101):
        counted.offer(tenths / 10)
    assert counted.take() == 10


# --- doors ---------------------------------------------------------------------------------------


def test_a_straight_line_is_its_two_ends():
    bench = Bench([Judging(door=0.1, heartbeat_ms=0)])
    for second in range(100):
        bench.poll(instant(1_000 * second), second / 4)
    assert [cell for cell in bench.kept() if cell[1] is not None] == [(0, 0.0, GOOD)]
    bench.finish()
    assert bench.kept()[-1] == (99_000, 24.75, GOOD)


def test_a_line_is_near_to_every_reading_behind_it_not_only_to_the_last():
    bench = Bench([Judging(door=1.5, heartbeat_ms=0)])
    for second, value in enumerate([0, 2, 2, 1]):
        bench.poll(instant(1_000 * second), value)
    bench.finish()
    # From 0 to 1 in three steps would pass the first 2 by 1.67.
    assert [value for _, value, _ in bench.kept() if value is not None] == [0, 2, 1]


def test_a_corner_is_the_last_reading_on_the_line():
    bench = Bench([Judging(door=0.1, heartbeat_ms=0)])
    for second, value in enumerate([0, 1, 2, 3, 2, 1, 0]):
        bench.poll(instant(1_000 * second), value)
    bench.finish()
    kept = [(at // 1_000, value) for at, value, _ in bench.kept() if value is not None]
    assert kept == [(0, 0), (3, 3), (6, 0)]


def test_nothing_is_claimed_about_the_time_before_the_first_reading():
    bench = Bench([Judging(door=0.1)])
    bench.poll(instant(0), 1)
    assert bench.kept() == [(0, None, STALE), (0, 1, GOOD)]


def test_a_set_clock_ends_a_line():
    bench = Bench([Judging(door=10.0, heartbeat_ms=0)])
    for second in range(5):
        bench.poll(instant(1_000 * second), 1.0)
    bench.poll(instant(5_000, stepped_ms=-3_600_000), 1.0)
    bench.poll(instant(6_000, stepped_ms=-3_600_000), 1.0)
    kept = [at for at, value, _ in bench.kept() if value is not None]
    assert kept == [0, 4_000, 5_000 - 3_600_000]


def test_a_door_pays_back_what_it_gave_out_later():
    bench = Bench([Judging(door=0.1, heartbeat_ms=0)])
    for second in range(60):
        bench.poll(instant(1_000 * second), second % 7)
    bench.poll(instant(60_000), COMM)
    for second in range(61, 90):
        bench.poll(instant(1_000 * second), 5.0)
    # The mark at the start and what the silence ended are evened out by what is held back later.
    assert bench.suppressed + bench.recorded == bench.polled
    assert all(row.suppressed >= 0 for row in bench.rows)


# --- priorities ----------------------------------------------------------------------------------


def test_each_priority_has_rows_of_its_own_with_channels_that_never_change():
    bench = Bench([Judging(), Judging(deadband=0.0, priority=0), Judging(deadband=0.0, priority=1)])
    rows = bench.poll(instant(0), 1, 2, 3)
    assert [(row.priority, row.channels) for row in rows] == [(0, (1,)), (1, (2,)), (2, (0,))]
    rows = bench.poll(instant(1_000), 1, 2, 4)
    assert [(row.priority, row.channels) for row in rows] == [(1, (2,)), (2, (0,))]
    assert rows[-1].suppressed == 1


def test_no_news_is_not_urgent():
    bench = Bench([Judging(deadband=0.0, heartbeat_ms=MINUTE, priority=0)])
    bench.poll(instant(0), 1)
    [row] = bench.poll(instant(MINUTE), 1)
    assert (row.priority, row.values) == (2, [1])
