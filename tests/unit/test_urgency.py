"""Priorities 0 and 1: when they are sealed, in which blocks, and who is told."""

import asyncio
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from agent.core.urgency import Deadlines
from agent.services.urgency import Urgency
from shared import limits
from shared.block.codec import decode, read_header
from shared.clock import MonoMs
from shared.ids import DeviceId
from tests.simulation.loop import World, simulate
from tests.unit.readings_world import Plant, growing, stored_values

A, B = DeviceId("a"), DeviceId("b")


@pytest.fixture
def plant(tmp_path):
    return Plant(tmp_path)


def test_routine_readings_are_in_no_hurry():
    deadlines = Deadlines()
    assert not deadlines.note(2, A, MonoMs(5))
    assert deadlines.next_due() is None


def test_readings_of_priority_one_are_due_within_a_minute_of_the_first():
    deadlines = Deadlines()
    assert deadlines.note(1, A, MonoMs(1_000))
    assert not deadlines.note(1, B, MonoMs(30_000))
    assert deadlines.next_due() == 1_000 + limits.SOON_MS
    assert not deadlines.sealed(MonoMs(61_000))
    assert deadlines.next_due() is None


def test_a_device_is_urgent_at_once_and_then_at_most_every_half_minute():
    deadlines = Deadlines()
    deadlines.note(0, A, MonoMs(1_000))
    assert deadlines.next_due() == 1_000
    assert deadlines.sealed(MonoMs(1_000))
    for at_ms in (2_000, 3_000, 20_000):
        deadlines.note(0, A, MonoMs(at_ms))
    assert deadlines.next_due() == 1_000 + limits.URGENT_GAP_MS
    # Another device does not wait for it, and takes along what it has.
    deadlines.note(0, B, MonoMs(21_000))
    assert deadlines.next_due() == 21_000
    assert deadlines.sealed(MonoMs(21_000))
    assert deadlines.next_due() is None
    deadlines.note(0, A, MonoMs(40_000))
    assert deadlines.next_due() == 51_000


@dataclass
class Store:
    """Notes when it was hastened."""

    world: World
    at_s: list[float] = field(default_factory=list)
    full_until_s: float = 0

    async def hasten(self) -> bool:
        self.at_s.append(self.world.loop.time())
        return self.world.loop.time() >= self.full_until_s


def test_an_alarm_is_sealed_and_told_at_once_and_a_flapping_one_every_half_minute():
    async def scenario(world: World) -> None:
        store, told = Store(world), list[float]()
        urgency = Urgency(store, clock=world.clock, nudge=lambda: told.append(world.loop.time()))
        running = asyncio.create_task(urgency.run())
        await asyncio.sleep(10)
        assert store.at_s == []
        for _ in range(295):
            urgency.note(0, A)
            urgency.note(2, B)
            await asyncio.sleep(1)
        assert store.at_s == told == pytest.approx([10 + 30 * n for n in range(10)], abs=0.01)
        running.cancel()
        await asyncio.wait((running,))

    simulate(scenario, seed=1)


def test_an_alarm_that_the_disk_refuses_is_told_once_it_is_taken():
    async def scenario(world: World) -> None:
        store, told = Store(world, full_until_s=100), list[float]()
        urgency = Urgency(store, clock=world.clock, nudge=lambda: told.append(world.loop.time()))
        running = asyncio.create_task(urgency.run())
        await asyncio.sleep(10)
        urgency.note(0, A)
        await asyncio.sleep(2)
        urgency.note(0, B)
        await asyncio.sleep(600)
        tries = [10, 12, 42, 72, 102]
        assert store.at_s == pytest.approx(tries, abs=0.01), "with a pause, and then no more"
        assert told == pytest.approx([102], abs=0.01)
        running.cancel()
        await asyncio.wait((running,))

    simulate(scenario, seed=1)


def test_priority_one_tells_nobody_and_routine_wakes_nobody():
    async def scenario(world: World) -> None:
        store, told = Store(world), list[float]()
        urgency = Urgency(store, clock=world.clock, nudge=lambda: told.append(world.loop.time()))
        running = asyncio.create_task(urgency.run())
        await asyncio.sleep(0)
        turns = world.loop.turns
        for _ in range(50):
            urgency.note(2, A)
        await asyncio.sleep(3_600)
        assert world.loop.turns - turns <= 2
        urgency.note(1, A)
        await asyncio.sleep(59)
        assert store.at_s == []
        await asyncio.sleep(2)
        assert len(store.at_s) == 1
        assert told == []
        running.cancel()
        await asyncio.wait((running,))

    simulate(scenario, seed=1)


# --- in the store --------------------------------------------------------------------------------


async def record(plant: Plant, store, *priorities: int) -> list[Any]:
    values: list[Any] = []
    for priority in priorities:
        row = replace(plant.row(), priority=priority)
        await store.record(row)
        values += row.values
    return values


async def test_urgent_readings_are_blocks_of_their_own_and_routine_ones_go_on_growing(plant):
    async with plant.running() as store:
        first = await record(plant, store, 2, 2)
        await store.keep()
        urgent = await record(plant, store, 0, 1, 0)
        more = await record(plant, store, 2)
        await store.hasten()
        waiting = await store.waiting()
        assert [(one.seq, one.priority) for one in waiting] == [(1, 0), (2, 1)]
        blocks = [decode(data) for data in await store.blocks([1, 2])]
        values = [list(zip(*block.groups[0].columns, strict=True)) for block in blocks]
        assert values == [[tuple(urgent[:3]), tuple(urgent[6:])], [tuple(urgent[3:6])]]
        [still_growing] = await growing(store)
        assert read_header(still_growing).seq == 3
        assert (await store.tally()).stored == len(first) + len(urgent) + len(more)
        await store.seal()
        assert [one.seq for one in await store.waiting()] == [1, 2, 3]
        assert sorted(await stored_values(store)) == sorted([*first, *urgent, *more])


async def test_an_alarm_alone_does_not_seal_what_still_grows(plant):
    async with plant.running() as store:
        first = await record(plant, store, 2)
        await store.keep()
        alarm = await record(plant, store, 0)
        await store.hasten()
        more = await record(plant, store, 2)
        await store.keep()
        [still_growing] = await growing(store)
        header = read_header(still_growing)
        assert (header.seq, header.priority, header.count) == (2, 2, len(first) + len(more))
        await store.seal()
        assert sorted(await stored_values(store)) == sorted([*first, *alarm, *more])


async def test_an_urgent_block_never_grows(plant):
    async with plant.running() as store:
        await record(plant, store, 0)
        await store.hasten()
        # It is there for a contact although nothing follows it.
        assert [(one.seq, one.priority) for one in await store.waiting()] == [(1, 0)]
        [before] = await store.blocks([1])
        await record(plant, store, 0, 2)
        await store.hasten()
        assert await store.blocks([1]) == [before]
        assert [(one.seq, one.priority) for one in await store.waiting()] == [(1, 0), (2, 0)]


async def test_a_kill_keeps_the_priority_of_what_was_open(plant):
    store = await plant.open()
    await record(plant, store, 2, 0, 1)
    plant.kill()
    async with plant.running() as survivor:
        await survivor.seal()
        assert [one.priority for one in await survivor.waiting()] == [0, 1, 2]
        assert (await survivor.tally()).stored == 9
    await store.close()
