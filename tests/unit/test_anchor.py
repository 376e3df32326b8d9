"""True time of boots: what a round trip says, what is worth telling, what the file keeps."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.anchor import FAR_MS, is_far, measured, true_ms, worth_telling
from shared import limits
from shared.clock import Instant, MonoMs, WallMs
from shared.sync.outgoing import Freed
from shared.sync.ranges import Ranges
from shared.wire.messages import Anchor
from tests.unit.readings_world import Plant

BOOT, OTHER = bytes(range(16)), bytes(16)
DAY_MS = 86_400_000


def instant(mono_ms: int, *, wall_ms: int = 0, boot: bytes = BOOT) -> Instant:
    return Instant(wall_ms=WallMs(wall_ms), mono_ms=MonoMs(mono_ms), boot_id=boot)


def anchor(mono_ms: int, wall_ms: int, *, err_ms: int = 100, boot: bytes = BOOT) -> Anchor:
    return Anchor(boot_id=boot, mono_ms=mono_ms, wall_ms=wall_ms, err_ms=err_ms)


def heard(*anchors: Anchor) -> Freed:
    return Freed(Ranges(), (), 0, 0, (), anchors)


@pytest.fixture
def plant(tmp_path) -> Plant:
    return Plant(tmp_path)


@given(
    up=st.integers(0, 100_000),
    held=st.integers(0, 100_000),
    down=st.integers(0, 100_000),
    asked=st.integers(0, 10**12),
    epoch=st.integers(0, 2 * 10**12),
)
def test_the_true_time_is_never_outside_the_bound(up, held, down, asked, epoch):
    got = asked + up + held + down
    found = measured(epoch + asked + up + held, held, asked=instant(asked), got=instant(got))
    assert found is not None
    assert found.mono_ms == got
    assert abs(found.wall_ms - (epoch + got)) <= found.err_ms


@given(held=st.one_of(st.integers(-(10**6), -1), st.integers(1_001, 10**6)))
def test_a_hold_that_cannot_be_makes_nothing_surer(held):
    found = measured(0, held, asked=instant(0), got=instant(1_000))
    assert found is not None
    assert found.err_ms >= 500


def test_a_reboot_during_the_exchange_gives_no_anchor():
    assert measured(0, 0, asked=instant(5), got=instant(900, boot=OTHER)) is None


def test_the_first_of_a_boot_is_worth_telling_and_the_same_again_is_not():
    first = anchor(1_000, 5_000)
    assert worth_telling(None, first)
    assert worth_telling(first, anchor(1_000, 5_000, boot=OTHER))
    assert not worth_telling(first, anchor(9_000, 13_000))


def test_drift_is_worth_telling_only_beyond_what_is_not_known_anyway():
    first = anchor(0, 0)
    assert not worth_telling(first, anchor(DAY_MS, DAY_MS + FAR_MS + 200))
    assert worth_telling(first, anchor(DAY_MS, DAY_MS + FAR_MS + 201))
    assert worth_telling(first, anchor(DAY_MS, DAY_MS - FAR_MS - 201))


def test_a_sure_one_replaces_one_that_came_over_a_line_of_seconds():
    slow = anchor(0, 0, err_ms=30_000)
    assert worth_telling(slow, anchor(60_000, 60_000, err_ms=200))
    assert not worth_telling(slow, anchor(60_000, 60_000, err_ms=20_000))


def test_a_wall_clock_is_far_off_only_beyond_the_bound():
    known = anchor(1_000, 50_000)
    assert true_ms(known, MonoMs(3_000)) == 52_000
    assert not is_far(known, instant(3_000, wall_ms=52_000 + FAR_MS + 100))
    assert is_far(known, instant(3_000, wall_ms=52_000 + FAR_MS + 101))


async def test_an_anchor_waits_until_a_report_with_it_was_answered(plant):
    async with plant.running() as store:
        assert await store.learn(anchor(1, 2))
        assert not await store.learn(anchor(10, 11))
        assert await store.anchors() == [anchor(1, 2)]
        await store.free(heard(anchor(1, 2)))
        assert await store.anchors() == []
        await store.keep()
        assert await store.anchors() == []
        assert not await store.learn(anchor(20, 21)), "it was told already"


async def test_a_power_cut_takes_no_anchor_and_tells_none_twice(plant):
    async with plant.running() as store:
        await store.learn(anchor(1, 2))
        plant.cut_power()
    async with plant.running() as store:
        assert await store.anchors() == [anchor(1, 2)]
        await store.learn(anchor(7, 8, boot=OTHER))
        assert await store.anchors() == [anchor(1, 2), anchor(7, 8, boot=OTHER)]
        await store.free(heard(anchor(1, 2), anchor(7, 8, boot=OTHER)))
        await store.keep()
    async with plant.running() as store:
        assert await store.anchors() == []
        assert not await store.learn(anchor(9, 10, boot=OTHER))


async def test_a_later_anchor_is_not_told_by_the_answer_to_an_earlier_one(plant):
    async with plant.running() as store:
        await store.learn(anchor(1, 2))
        await store.learn(anchor(DAY_MS, DAY_MS + 60_000))
        await store.free(heard(anchor(1, 2)))
        await store.keep()
        assert await store.anchors() == [anchor(DAY_MS, DAY_MS + 60_000)]


async def test_boots_that_nobody_heard_of_are_bounded_and_the_newest_stay(plant):
    async with plant.running() as store:
        boots = [number.to_bytes(16) for number in range(limits.ANCHORS_KEPT + 8)]
        for boot in boots:
            await store.learn(anchor(1, 2, boot=boot))
        told: list[bytes] = []
        while some := await store.anchors():
            assert len(some) <= limits.ANCHORS_PER_REPORT
            told += [one.boot_id for one in some]
            await store.free(heard(*some))
            await store.keep()
        assert told == boots[8:]


async def test_a_disk_that_refuses_makes_no_anchor_and_no_fault(plant):
    plant.data.rmdir()
    plant.data.write_text("in the way")
    async with plant.running() as store:
        assert not await store.learn(anchor(1, 2))
        assert await store.anchors() == []
