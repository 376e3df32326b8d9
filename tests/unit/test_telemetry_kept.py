"""Delivered blocks are kept for a coordinator that loses its disk, and never cost anything else."""

from pathlib import Path

from agent.core.settings import TelemetrySettings
from agent.store.telemetry import TelemetryStore
from shared.sync.outgoing import Freed
from shared.sync.ranges import Ranges
from shared.wire.messages import Tally
from tests.unit.readings_world import Plant


def delivered(*numbers: int, safe_to: int = 0) -> Freed:
    return Freed(Ranges.of(numbers), (), 0, 0, (), safe_to=safe_to)


async def three_blocks(plant: Plant, store: TelemetryStore) -> list[bytes]:
    for _ in range(3):
        await plant.record(store, 2)
        await store.seal()
    return await store.blocks([1, 2, 3])


async def here(store: TelemetryStore) -> tuple[list[int], list[tuple[int, int]]]:
    found, gone = await store.asked(Ranges(((1, 3),)))
    return [one.seq for one in found], gone


async def test_what_is_delivered_can_be_asked_for_again_until_a_backup_holds_it(tmp_path: Path):
    plant = Plant(tmp_path)
    async with plant.running() as store:
        before = await three_blocks(plant, store)
        sampled = (await store.tally()).sampled
        await store.free(delivered(1, 2, 3))
        assert await here(store) == ([1, 2, 3], [])
        assert await store.blocks([1, 2, 3]) == before, "the same bytes"
        assert await store.waiting() == []
        assert await store.page(0) == []
        assert await store.tally() == Tally(sampled, 0, sampled, 0, 0)
        await store.free(delivered(2, safe_to=3))
        assert await here(store) == ([3], [(1, 2)])
        assert await store.tally() == Tally(sampled, 0, sampled, 0, 0), "counted once"


async def test_what_is_delivered_goes_before_anything_that_is_not(tmp_path: Path):
    """The room holds some blocks: without the delivered ones it holds all that wait."""
    room = TelemetrySettings(storage_max_bytes=160 * 1024)
    plant = Plant(tmp_path, settings=room, noisy=True)
    async with plant.running() as store:
        kept: list[int] = []
        for number in range(1, 100):
            await plant.record(store, 200)
            await store.seal()
            if number % 2:
                await store.free(delivered(number))
                await store.keep()
                kept.append(number)
            if (await store.tally()).lost:
                break
            waiting = [one.seq for one in await store.waiting()]
            assert waiting == list(range(2, number + 1, 2)), "what waits is all here"
        found, _ = await store.asked(Ranges(((1, number),)))
        gone = set(kept) - {one.seq for one in found}
        assert gone, "delivered ones made room"
        if (await store.tally()).lost:
            assert gone >= set(kept[:-1]), "and all of them before the first reading was lost"
