"""Whole boots are put into true time once an anchor is known, also what was stored before."""

import pytest

from coordinator.core.retime import BlockClock, Fix, Placed, Sureness, anchored, place
from shared import limits
from shared.clock import ClockState, MonoMs, WallMs
from shared.model.reading import BootRef
from shared.wire.messages import Anchor
from tests.readings_office import BOOT, NOW, add_agent, block, bring, group, rows, settle_times
from tests.stores import ENGINES, open_store

HOUR = 3_600_000
BOOTED = NOW - 5 * HOUR
"""True time at mono 0."""


@pytest.fixture(params=ENGINES)
async def store(request, tmp_path):
    async with open_store(request.param, tmp_path) as opened:
        await add_agent(opened)
        yield opened


def clock(mono_ms, state=ClockState.UNSYNCED, *, wall_ms=None, err_ms=0):
    wall_ms = mono_ms if wall_ms is None else wall_ms
    return BlockClock(mono_ms=mono_ms, wall_ms=wall_ms, state=state, err_ms=err_ms, arrived_ms=NOW)


def block_of_1970(seq, mono_ms, **changes):
    """Ten readings of a gateway that believes it is 1970."""
    times = [mono_ms + 1000 * row for row in range(10)]
    fields = {"mono_ms": MonoMs(mono_ms), "clock_state": ClockState.UNSYNCED, "err_ms": 0}
    return block(seq, group(times, [1.5] * 10), **(fields | changes))


async def times_of(store):
    found = await rows(store, "SELECT first_ms, last_ms, sureness, err_ms FROM block ORDER BY seq")
    return [(first, last - first, Sureness(sure), err) for first, last, sure, err in found]


async def test_an_anchor_places_blocks_that_were_stored_before_it(store):
    await bring(store, block_of_1970(1, 60_000), block_of_1970(2, HOUR))
    assert [sure for _, _, sure, _ in await times_of(store)] == [Sureness.UNSYNCED] * 2
    anchor = Anchor(BOOT, 2 * HOUR, BOOTED + 2 * HOUR, 40)
    await bring(store, anchors=[anchor])
    assert await settle_times(store, size=1) == 3
    drift = [(2 * HOUR - at) * 500 // 1_000_000 for at in (60_000, HOUR)]
    assert await times_of(store) == [
        (BOOTED + 60_000, 9_000, Sureness.ANCHORED, 40 + drift[0]),
        (BOOTED + HOUR, 9_000, Sureness.ANCHORED, 40 + drift[1]),
    ]


async def test_a_block_that_comes_after_the_anchor_is_placed_at_once(store):
    await bring(store, anchors=[Anchor(BOOT, 0, BOOTED, 40)])
    await settle_times(store)
    await bring(store, block_of_1970(1, 0))
    assert await settle_times(store) == 0
    assert await times_of(store) == [(BOOTED, 9_000, Sureness.ANCHORED, 40)]


async def test_the_anchor_of_another_boot_says_nothing(store):
    await bring(store, block_of_1970(1, 0), anchors=[Anchor(b"C" * 16, 0, BOOTED, 40)])
    await settle_times(store)
    ((_, _, sure, err_ms),) = await times_of(store)
    assert (sure, err_ms) == (Sureness.UNSYNCED, 0)


async def test_placing_again_changes_nothing_and_orders_no_rollup(store):
    anchor = Anchor(BOOT, 0, BOOTED, 40)
    await bring(store, block_of_1970(1, 0), anchors=[anchor])
    await settle_times(store)
    before = await times_of(store), await rows(store, "SELECT count(*) FROM rollup_due")
    await bring(store, anchors=[anchor, anchor])
    await settle_times(store)
    assert (await times_of(store), await rows(store, "SELECT count(*) FROM rollup_due")) == before


async def test_a_block_of_1970_lies_where_its_arrival_allows(store):
    """The report says how long ago of the same boot the block began."""
    await bring(store, block_of_1970(1, 600_000), mono_ms=1_600_000)
    assert await times_of(store) == [(NOW - 1_000_000, 9_000, Sureness.UNSYNCED, 0)]


async def test_a_block_of_a_forgotten_boot_ends_before_it_arrived(store):
    await bring(store, block_of_1970(1, 600_000), boot_id=b"C" * 16)
    assert await times_of(store) == [(NOW - 9_000, 9_000, Sureness.UNSYNCED, 0)]


async def test_a_boot_that_was_heard_sooner_lies_earlier_as_a_whole(store):
    """Blocks of one boot keep their distance, whenever and in whatever order they arrive."""
    await bring(store, block_of_1970(1, 0), boot_id=b"C" * 16, now_ms=NOW)
    await bring(store, block_of_1970(2, HOUR), boot_id=b"C" * 16, now_ms=NOW + 60_000)
    await settle_times(store)
    (first, *_), (second, *_) = await times_of(store)
    assert second - first == HOUR
    assert second + 9_000 == NOW + 60_000


async def test_the_first_synced_block_places_what_came_before_the_clock_was_set(store):
    late = group([BOOTED + HOUR], [1.0])
    synced = block(2, late, mono_ms=MonoMs(HOUR), err_ms=20)
    await bring(store, block_of_1970(1, 60_000), synced)
    await settle_times(store)
    (early, later) = await times_of(store)
    assert early[0] == BOOTED + 60_000
    assert early[2] is Sureness.ANCHORED
    assert later == (BOOTED + HOUR, 0, Sureness.SYNCED, 20)


@pytest.mark.parametrize("wall_ms", [0, NOW + 2 * 86_400_000])
async def test_an_anchor_that_cannot_be_true_is_left_out(store, wall_ms):
    await bring(store, block_of_1970(1, 0), anchors=[Anchor(BOOT, 0, wall_ms, 40)])
    assert await rows(store, "SELECT count(*) FROM anchor") == [(0,)]


def test_a_clock_that_knows_better_than_the_anchor_stays():
    synced = clock(0, ClockState.SYNCED, wall_ms=BOOTED, err_ms=5)
    assert place(synced, [Fix(0, BOOTED + 100, 300)], None) == Placed(0, Sureness.SYNCED, 5)


def test_a_synced_clock_that_an_anchor_contradicts_is_wrong():
    synced = clock(0, ClockState.SYNCED, wall_ms=BOOTED + HOUR, err_ms=5)
    placed = place(synced, [Fix(0, BOOTED, 300)], None)
    assert placed == Placed(-HOUR, Sureness.ANCHORED, 300)


def test_a_clock_that_drifts_gives_way_to_an_anchor_that_is_nearer():
    drifting = clock(HOUR, ClockState.HOLDOVER, wall_ms=BOOTED + HOUR + 900, err_ms=2_500)
    assert place(drifting, [Fix(HOUR, BOOTED + HOUR, 40)], None).shift_ms == -900
    assert place(drifting, [], None) == Placed(0, Sureness.HOLDOVER, 2_500)


def test_a_clock_that_stepped_is_no_better_than_one_that_was_never_set():
    stepped = clock(0, ClockState.STEPPED, wall_ms=BOOTED, err_ms=3)
    assert place(stepped, [], 0) == Placed(0, Sureness.UNSYNCED, 0)


def test_drift_between_two_anchors_is_taken_out():
    fixes = [Fix(0, BOOTED, 10), Fix(10 * HOUR, BOOTED + 10 * HOUR + 3_600, 10)]
    assert anchored(5 * HOUR, fixes) == (BOOTED + 1_800, 10 + 9_000)


def test_of_anchors_that_contradict_the_better_one_counts():
    fixes = [Fix(0, BOOTED, 10), Fix(1_000, BOOTED + HOUR, 500)]
    assert anchored(900, fixes) == (BOOTED, 10)
    assert anchored(900, fixes[::-1]) == (BOOTED, 10)


def test_an_arrival_is_no_word_about_a_clock_that_may_be_right():
    wall_ms = WallMs(NOW - 90 * 24 * HOUR)
    assert place(clock(0, wall_ms=wall_ms), [], NOW) == Placed(0, Sureness.UNSYNCED, 0)


async def test_boots_of_many_agents_are_walked_in_one_step(store):
    agents = [f"gateway-{number}" for number in range(5)]
    for agent in agents:
        await add_agent(store, agent)
        await bring(store, block(1, group([NOW])), agent=agent)
    assert await rows(store, "SELECT count(*) FROM retime") == [(5,)]
    assert await settle_times(store) == 1
    assert await rows(store, "SELECT count(*) FROM retime") == [(0,)]


async def test_boots_and_stores_are_counted_up_to_a_bound(store, monkeypatch):
    monkeypatch.setattr(limits, "ORDINALS", 3)
    boots = [BootRef(bytes([at] * 4)) for at in range(1, 7)]
    some = [block(at, group([NOW]), boot=boot) for at, boot in enumerate(boots, 1)]
    await bring(store, *some)
    for at in range(1, 7):
        await bring(store, telemetry_epoch=bytes([at] * 16))
    assert await rows(store, "SELECT ordinal FROM boot ORDER BY boot") == [
        (ordinal,) for ordinal in (1, 2, 3, 4, 4, 4)
    ]
    assert await rows(store, "SELECT ordinal FROM telemetry_store ORDER BY ordinal, epoch") == [
        (ordinal,) for ordinal in (1, 2, 3, 4, 4, 4, 4)
    ]
