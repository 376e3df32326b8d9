"""Rollups are a function of the rows, whatever blocks they came in, in any order, again."""

import asyncio
import math
from collections import defaultdict
from dataclasses import dataclass
from fractions import Fraction

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coordinator.core.rollup import HOUR_S, MINUTE_S
from shared import limits
from shared.clock import ClockState, MonoMs
from shared.model.reading import Quality
from shared.wire.messages import Anchor
from tests.length import examples
from tests.readings_office import (
    BOOT,
    NOW,
    SCHEMA,
    add_agent,
    block,
    bring,
    group,
    roll_everything_up,
    rolled,
)
from tests.stores import ENGINES, AnyStore, open_store

START = NOW // 3_600_000 * 3_600_000
_VALUES = st.none() | st.integers(-(2**62), 2**62) | st.floats(width=64)
_MARKS = st.sampled_from(list(Quality))
_ROW = st.tuples(
    st.integers(-90 * 60_000, 90 * 60_000),  # within three hours
    st.tuples(_VALUES, _MARKS),
    st.tuples(_VALUES, _MARKS),
)
_BLOCKS = st.lists(st.lists(_ROW, min_size=1, max_size=6), min_size=1, max_size=5)


def packed(seq, rows, **changes):
    times = [START + at for at, *_ in rows]
    columns = [
        [cell[0] for cell in column] for column in zip(*(row[1:] for row in rows), strict=True)
    ]
    marks = [
        bytes(cell[1] for cell in column) for column in zip(*(row[1:] for row in rows), strict=True)
    ]
    return block(seq, group(times, *columns, qualities=marks), **changes)


def expected(rows, width_ms, shift_ms=0):
    """The same, computed from all rows at once and without our code."""
    cells = defaultdict(list)
    for at, *values in rows:
        start_ms = (START + at + shift_ms) // width_ms * width_ms
        for channel, (value, mark) in zip(SCHEMA.channels[:2], values, strict=True):
            if value is not None or mark != Quality.GOOD:
                cells[channel.device, channel.point, start_ms].append((value, mark))
    found = {}
    for key, readings in cells.items():
        used = [
            value
            for value, mark in readings
            if value is not None and mark in {0, 1} and math.isfinite(value)
        ]
        good = sum(mark == Quality.GOOD for _, mark in readings)
        mean = sum(map(Fraction, used)) / len(used) if used else None
        low, high = min(used, default=None), max(used, default=None)
        found[key] = len(readings), good, len(used), low, high, mean
    return found


def same(ours, theirs):
    """Equal, the mean within rounding: sums are rounded once per minute and once per hour."""
    assert ours.keys() == theirs.keys()
    for key, (count, good, used, low, high, mean) in theirs.items():
        bucket = ours[key]
        assert (bucket.count, bucket.good, bucket.used) == (count, good, used), key
        assert (bucket.low, bucket.high) == (low, high), key
        if bucket.mean is not None:
            scale = max(abs(Fraction(low)), abs(Fraction(high)))
            assert abs(Fraction(bucket.mean) - mean) <= scale * Fraction(2, 2**50), key
        else:
            assert not used or abs(mean) * used > Fraction(10) ** 300


@pytest.fixture(params=ENGINES)
def office(request, tmp_path):
    """One store for all examples, each with an agent of its own, and the loop it lives in."""
    with asyncio.Runner() as runner:
        opening = open_store(request.param, tmp_path)
        yield Office(runner, runner.run(opening.__aenter__()))
        runner.run(opening.__aexit__(None, None, None))


@dataclass
class Office:
    runner: asyncio.Runner
    store: AnyStore
    agents: int = 0

    def rolled_from(self, blocks, order, **options):
        """Bring blocks in an order; return the rollups by width."""
        self.agents += 1
        work = rolled_from(self.store, f"agent-{self.agents}", blocks, order, **options)
        return self.runner.run(work)


async def rolled_from(store, agent, blocks, order, *, between=False, anchors=()):
    await add_agent(store, agent)
    for index in order:
        await bring(store, blocks[index], agent=agent)
        if between:
            await roll_everything_up(store)
    if anchors:
        await bring(store, agent=agent, anchors=anchors)
    await roll_everything_up(store)
    return {width: await rolled(store, width, agent=agent) for width in (MINUTE_S, HOUR_S)}


_SHARED = [HealthCheck.function_scoped_fixture]


@settings(max_examples=examples(40), deadline=None, suppress_health_check=_SHARED)
@given(rows=_BLOCKS, data=st.data())
def test_a_rollup_of_any_blocks_is_the_rollup_of_all_their_rows(office, rows, data):
    blocks = [
        packed(seq, some, mono_ms=MonoMs(min(at for at, *_ in some) + 10**10))
        for seq, some in enumerate(rows, 1)
    ]
    order = data.draw(st.permutations(range(len(blocks))))
    repeated = [*order, *data.draw(st.lists(st.sampled_from(order)))]
    at_once = office.rolled_from(blocks, range(len(blocks)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(limits, "ROLLUP_HOURS", data.draw(st.sampled_from([1, 2, 512])))
        stepwise = office.rolled_from(blocks, repeated, between=True)
    assert at_once == stepwise
    everything = [row for some in rows for row in some]
    same(at_once[MINUTE_S], expected(everything, 60_000))
    same(at_once[HOUR_S], expected(everything, 3_600_000))


@settings(max_examples=examples(20), deadline=None, suppress_health_check=_SHARED)
@given(rows=_BLOCKS, shift_ms=st.integers(-(10**8), 8 * 10**7))
def test_readings_that_were_placed_elsewhere_leave_nothing_behind(office, rows, shift_ms):
    """Blocks are rolled up where their clock put them, then an anchor moves the whole boot."""
    blocks = [
        packed(
            seq,
            some,
            clock_state=ClockState.UNSYNCED,
            err_ms=0,
            mono_ms=MonoMs(min(at for at, *_ in some) + 10**10),
        )
        for seq, some in enumerate(rows, 1)
    ]
    anchor = Anchor(BOOT, 10**10, START + shift_ms, 1)
    moved = office.rolled_from(blocks, range(len(blocks)), between=True, anchors=[anchor])
    everything = [row for some in rows for row in some]
    same(moved[MINUTE_S], expected(everything, 60_000, shift_ms))
    same(moved[HOUR_S], expected(everything, 3_600_000, shift_ms))
