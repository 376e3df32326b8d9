"""Whatever is measured: what is held back is within its bound, and everything is accounted for."""

from bisect import bisect_right
from decimal import Decimal
from itertools import accumulate
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from agent.core.counter import Increase
from shared.model.judging import Judging
from shared.model.reading import Quality
from tests.judging_parts import Bench, instant

VALUES = st.one_of(
    st.integers(-(10**9), 10**9),
    st.floats(-1e6, 1e6, allow_nan=False),
    st.integers(-500, 500).map(lambda tenths: tenths / 10),
)
CELLS = st.one_of(
    VALUES, VALUES, VALUES, st.sampled_from([Quality.BAD_COMM, (1.0, Quality.BAD_RANGE)])
)
STEPS_MS = st.integers(1, 5_000)
BOUNDS = st.one_of(st.floats(0.5, 5), st.floats(0.01, 1e4))
WALKS = st.lists(st.integers(-2, 2), min_size=1, max_size=80).map(lambda up: [*accumulate(up)])
"""Series that a line can follow for a while."""
SERIES = st.one_of(WALKS, st.lists(CELLS, min_size=1, max_size=80))


def polled(bench: Bench, series, steps) -> list[tuple[int, Any, Quality]]:
    """Poll a series; return what was measured: (time, value, quality)."""
    truth, at_ms = [], 0
    for cell, step_ms in zip(series, steps, strict=False):
        bench.poll(instant(at_ms), cell)
        judged = bench.seen[-1]
        truth.append((at_ms, judged.values[0], judged.qualities[0]))
        at_ms += step_ms
    bench.finish()
    return truth


@given(SERIES, st.lists(STEPS_MS, min_size=80, max_size=80), BOUNDS)
def test_a_line_between_corners_is_within_the_stated_bound(series, steps, bound):
    bench = Bench([Judging(door=bound, heartbeat_ms=60_000)])
    truth = polled(bench, series, steps)
    kept: list[Any] = sorted(bench.kept(), key=lambda cell: cell[0])
    assert {(at, quality) for at, _, quality in kept} <= {
        (at, quality) for at, _, quality in truth
    } | {(0, Quality.STALE)}
    times = [at for at, _, _ in kept]
    for at, value, quality in truth:
        place = bisect_right(times, at)
        before = kept[place - 1]
        if value is None:
            assert (before[1], before[2]) == (None, quality)
            assert at - before[0] < 60_000
        elif before[0] == at:
            assert (before[1], before[2]) == (value, quality)
        else:
            # Between two rows of one quality the reader draws a line.
            after = kept[place]
            assert before[2] is after[2] is quality
            share = (at - before[0]) / (after[0] - before[0])
            assert abs(before[1] + (after[1] - before[1]) * share - value) <= bound
            assert after[0] - before[0] <= 60_000 + 2 * 5_000


@given(
    st.lists(CELLS, min_size=1, max_size=80),
    st.lists(STEPS_MS, min_size=80, max_size=80),
    st.floats(0, 1e4),
    st.booleans(),
)
def test_what_a_deadband_holds_back_is_within_it_and_no_heartbeat_is_missed(
    series, steps, band, percent
):
    size = band % 100 if percent else band
    bench = Bench([Judging(deadband=size, percent=percent, heartbeat_ms=20_000)])
    truth = polled(bench, series, steps)
    kept = bench.kept()
    times = [at for at, _, _ in kept]
    last: Any
    for at, value, quality in truth:
        last_ms, last, last_quality = kept[bisect_right(times, at) - 1]
        assert last_quality is quality
        assert at - last_ms < 20_000
        if value is None:
            assert last is None
        else:
            # As people read the numbers: a float stands for the shortest decimal that reads as it.
            exact, first, now = (Decimal(repr(number)) for number in (size, last, value))
            assert abs(now - first) <= (exact * abs(first) / 100 if percent else exact)


JUDGINGS = st.sampled_from(
    [
        Judging(),
        Judging(deadband=0.0),
        Judging(deadband=10.0, percent=True, heartbeat_ms=30_000),
        Judging(door=5.0, heartbeat_ms=30_000),
        Judging(door=0.5, priority=1),
        Judging(aggregate=("min", "max", "count"), aggregate_interval_ms=10_000, raw=False),
        Judging(deadband=1.0, aggregate=("mean",), priority=0),
        Judging(stale_after_ms=5_000, deadband=0.0),
    ]
)


@given(st.data(), st.lists(JUDGINGS, min_size=1, max_size=5))
def test_everything_sampled_is_recorded_or_suppressed(data, judgings):
    bench = Bench(judgings)
    at_ms = 0
    for _ in range(data.draw(st.integers(1, 40))):
        rows = bench.poll(instant(at_ms), *(data.draw(CELLS) for _ in judgings))
        assert rows, "kill -9 must find every poll in the journal"
        assert all(row.suppressed >= 0 for row in rows)
        at_ms += data.draw(STEPS_MS)
    aggregates = sum(
        len(bench.kept(channel))
        for channel in range(len(judgings), len(judgings) + sum(len(j.aggregate) for j in judgings))
    )
    assert bench.recorded + bench.suppressed - bench.judge._owed == bench.polled + aggregates
    doors = sum(judging.door is not None for judging in judgings)
    assert 0 <= bench.judge._owed <= 2 * doors + 1


@given(st.data(), st.lists(JUDGINGS, min_size=1, max_size=4))
def test_a_reading_whose_quality_changed_is_always_kept(data, judgings):
    bench = Bench(judgings)
    before: list[Quality | None] = [None] * len(judgings)
    for number in range(data.draw(st.integers(1, 30))):
        bench.poll(instant(1_000 * number), *(data.draw(CELLS) for _ in judgings))
        judged = bench.seen[-1]
        for channel, quality in enumerate(judged.qualities):
            if quality is not before[channel]:
                kept = (1_000 * number, judged.values[channel], quality)
                assert kept in bench.kept(channel)
            before[channel] = quality


@given(
    st.integers(2, 1 << 64),
    st.lists(st.floats(0, 0.5), min_size=1, max_size=50),
    st.integers(0, 1 << 64),
)
def test_a_counter_adds_up_across_its_modulus_however_often(modulus, shares, start):
    counted, raw, total = Increase(Decimal(modulus)), start % modulus, 0
    counted.offer(raw)
    for share in shares:
        step = min(int(share * modulus), modulus // 2)
        raw, total = (raw + step) % modulus, total + step
        counted.offer(raw)
    assert counted.take() == total


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=50), st.none() | st.integers(1, 10**6))
def test_an_increase_is_never_negative_whatever_a_counter_shows(shown, modulus):
    counted = Increase(None if modulus is None else Decimal(modulus))
    for value in shown:
        counted.offer(value)
        taken = counted.take()
        assert taken is not None
        assert taken >= 0
