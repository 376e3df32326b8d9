"""The keeper and the real store on virtual time: how often they write, and that they never wake
for nothing."""

import asyncio
import random

import pytest

from agent.core.ports import PollRow
from agent.core.settings import TelemetrySettings
from agent.services.keeper import Keeper
from agent.store.telemetry import TelemetryStore
from shared import limits
from shared.model.reading import Quality
from tests.length import AT_LENGTH
from tests.simulation.loop import World, simulate
from tests.unit.readings_world import make_table

INTERVAL_MS = 300_000
FULL_S = 86_400 if AT_LENGTH else 10_800
"""How long a full disk lasts: a day where there is time."""
TABLE = make_table(devices=5, points=8)


async def opened(world: World, folder) -> TelemetryStore:
    (folder / "data").mkdir(exist_ok=True)
    return await TelemetryStore.open(
        folder / "data",
        folder / "run",
        TABLE,
        TelemetrySettings(commit_interval_ms=INTERVAL_MS),
        clock=world.clock,
        entropy=world.entropy,
    )


async def poll(
    world: World,
    store: TelemetryStore,
    seconds: int,
    *,
    every_s: float = 1.0,
    noise: random.Random | None = None,
) -> int:
    """Record every device for a while; return how many readings that was."""
    readings = 0
    for turn in range(int(seconds / every_s)):
        for group in TABLE.groups:
            values = [turn / 10 + point for point in range(len(group.channels))]
            if noise:
                values = [noise.random() for _ in values]
            await store.record(
                PollRow(
                    channels=group.channels,
                    at=world.clock.now(),
                    values=values,
                    qualities=[Quality.GOOD] * len(values),
                )
            )
            readings += len(values)
        await asyncio.sleep(every_s)
    return readings


def keeping(store: TelemetryStore) -> "asyncio.Task[None]":
    return asyncio.create_task(Keeper(store, commit_interval_ms=INTERVAL_MS).run())


async def stop(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.wait((task,))


def test_an_hour_of_readings_is_twelve_commits(tmp_path, in_simulation):
    async def scenario(world: World) -> None:
        # Runs are repeatable, folders are not: each has its own.
        folder = tmp_path / str(world.seed)
        folder.mkdir(exist_ok=True)
        store = await opened(world, folder)
        database = store._file.usable
        assert database
        before = database.counters
        keeper = keeping(store)
        readings = await poll(world, store, 3_600)
        after = database.counters
        assert 11 <= after.commits - before.commits <= 12
        assert after.durable_commits == before.durable_commits
        tally = await store.tally()
        assert (tally.sampled, tally.stored) == (readings, readings)
        await stop(keeper)
        await store.close()

    in_simulation(scenario)


def test_nothing_to_keep_means_no_turn_of_the_loop(tmp_path):
    async def scenario(world: World) -> None:
        store = await opened(world, tmp_path)
        keeper = keeping(store)
        await poll(world, store, 10)
        await asyncio.sleep(2 * INTERVAL_MS / 1_000)
        turns = world.loop.turns
        await asyncio.sleep(30 * 86_400)
        assert world.loop.turns - turns <= 2
        await stop(keeper)
        await store.close()

    simulate(scenario, seed=1)


def test_much_that_is_open_is_committed_before_its_interval(tmp_path):
    async def scenario(world: World) -> None:
        store = await opened(world, tmp_path)
        keeper = keeping(store)
        await poll(world, store, 60, every_s=0.1)
        assert store.next_block > 1
        assert store.status.open_readings < limits.COMMIT_POINTS
        await stop(keeper)
        await store.close()

    simulate(scenario, seed=1)


def test_a_disk_that_comes_back_is_used_again_within_a_minute(tmp_path):
    async def scenario(world: World) -> None:
        data = tmp_path / "data"
        elsewhere = tmp_path / "unplugged"
        data.mkdir()
        data.rename(elsewhere)
        data.write_text("in the way")
        store = await opened_without_folder(world, tmp_path)
        keeper = keeping(store)
        readings = await poll(world, store, 900)
        assert store.status.trouble
        data.unlink()
        elsewhere.rename(data)
        readings += await poll(world, store, limits.RESTART_MAX_S + 1)
        assert not store.status.trouble
        assert await store.ledger() == []
        tally = await store.tally()
        assert (tally.sampled, tally.stored) == (readings, readings)
        await stop(keeper)
        await store.close()

    simulate(scenario, seed=1)


async def opened_without_folder(world: World, folder) -> TelemetryStore:
    return await TelemetryStore.open(
        folder / "data",
        folder / "run",
        TABLE,
        TelemetrySettings(commit_interval_ms=INTERVAL_MS),
        clock=world.clock,
        entropy=world.entropy,
    )


def test_dear_commits_come_less_often_so_that_the_flash_s_budget_is_kept(tmp_path):
    async def scenario(world: World) -> None:
        store = await opened(world, tmp_path)
        database = store._file.usable
        assert database
        cost, day_s = 200_000, 86_400
        budget = cost * day_s // 1_800
        keeper = Keeper(
            store,
            commit_interval_ms=INTERVAL_MS,
            budget_bytes=budget,
            written=lambda: database.counters.commits * cost,
        )
        task = asyncio.create_task(keeper.run())
        await poll(world, store, 4 * 3_600, every_s=20)
        before = database.counters.commits
        await poll(world, store, 4 * 3_600, every_s=20)
        assert 7 <= database.counters.commits - before <= 9
        assert keeper.interval_ms == 1_800_000
        await stop(task)
        await store.close()

    simulate(scenario, seed=1)


@pytest.mark.slow  # the keeper asks the disk once a minute, with a whole block each time
@pytest.mark.timeout(300)
def test_a_disk_that_is_full_for_long_stops_no_poll_and_the_account_is_exact(tmp_path):
    async def scenario(world: World) -> None:
        noise = random.Random(1)  # nothing fits into what the file has already
        store = await opened(world, tmp_path)
        keeper = keeping(store)
        readings = await poll(world, store, 3_600, every_s=300, noise=noise)
        database = store._file.usable
        assert database
        # The real limit of a real file: SQLite answers as it does when the kernel says ENOSPC.
        await database.read(lambda db: db.execute("PRAGMA max_page_count = 1").fetchone())
        readings += await poll(world, store, FULL_S, every_s=300, noise=noise)
        assert "full" in store.status.trouble
        tally = await store.tally()
        assert tally.sampled == readings == tally.stored
        await database.read(lambda db: db.execute("PRAGMA max_page_count = 1000000").fetchone())
        readings += await poll(world, store, 600, every_s=300, noise=noise)
        assert not store.status.trouble
        tally = await store.tally()
        assert await store.ledger() == []
        assert tally.sampled == readings == tally.stored
        await stop(keeper)
        await store.close()

    simulate(scenario, seed=1)
