"""The simulated loop itself: virtual, repeatable, and honest about what can never happen."""

import asyncio
import os
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import aiosqlite.core
import pytest

from shared.clock import ClockState
from shared.runtime.db import Database
from shared.runtime.migrations import Migration, MigrationSet
from tests.simulation.loop import (
    START_WALL_MS,
    DeadlockError,
    SimLoop,
    World,
    inline_aiosqlite,
    simulate,
)

SCHEMA = MigrationSet(
    (Migration(version=1, name="note", sql="CREATE TABLE note(id INTEGER PRIMARY KEY, by INT);\n"),)
)
ROOT = Path(__file__).parents[2]


async def busy_database(world: World, path: Path) -> list[tuple[int, int]]:
    """Several tasks write, sleep and are cancelled; return what is in the table."""
    async with Database.open(path, schema=SCHEMA, exclusive=True) as db:

        async def writer(number: int) -> None:
            for _ in range(5):
                await asyncio.sleep(world.entropy.fraction())
                key = await db.transact(
                    lambda c: c.execute("INSERT INTO note(by) VALUES (?)", (number,)).lastrowid,
                    durable=number % 2 == 0,
                )
                world.note(number, key)

        async with asyncio.TaskGroup() as group:
            for number in range(4):
                group.create_task(writer(number))
        return await db.read(lambda c: c.execute("SELECT id, by FROM note").fetchall())


def run(seed: int, folder: Path) -> tuple[str, list[tuple[int, int]]]:
    folder.mkdir()
    worlds = []

    async def scenario(world: World):
        worlds.append(world)
        return await busy_database(world, folder / "a.db")

    rows = simulate(scenario, seed=seed)
    return worlds[0].digest, rows


def test_two_runs_of_one_seed_are_identical(tmp_path):
    assert run(5, tmp_path / "one") == run(5, tmp_path / "two")


def test_another_seed_is_another_run(tmp_path):
    first, second = run(5, tmp_path / "one"), run(6, tmp_path / "two")
    assert first != second
    assert len(first[1]) == len(second[1]) == 20


def test_hash_randomisation_of_the_process_does_not_reach_a_run(tmp_path):
    program = (
        "import sys; from pathlib import Path\n"
        "from tests.simulation.test_simulation_loop import run\n"
        "print(run(3, Path(sys.argv[1]))[0])"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", program, str(tmp_path / seed)],
            env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
            cwd=ROOT,
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(digests) == 1


def test_a_cancelled_task_group_ends_its_children_in_the_same_order_each_time():
    async def scenario(world: World) -> list[int]:
        ended: list[int] = []

        async def child(number: int) -> None:
            try:
                await asyncio.sleep(1e6)
            finally:
                ended.append(number)

        async def crash() -> None:
            raise ValueError

        async def family() -> None:
            async with asyncio.TaskGroup() as group:
                for number in range(40):
                    group.create_task(child(number))
                group.create_task(crash())

        with pytest.raises(ExceptionGroup):
            await family()
        return ended

    orders = {tuple(simulate(scenario, seed=1)) for _ in range(5)}
    assert len(orders) == 1


def test_a_year_passes_without_waiting_and_timers_keep_their_order():
    async def scenario(world: World) -> list[float]:
        fired = []
        for delay_s in (31_536_000.0, 0.25, 86_400.0 * 3):
            world.loop.call_later(delay_s, lambda: fired.append(world.loop.time()))
        await asyncio.sleep(31_536_001)
        return fired

    assert simulate(scenario, seed=1) == [0.25, 259_200.0, 31_536_000.0]


def test_waiting_for_what_cannot_happen_is_a_deadlock_that_names_its_seed():
    async def scenario(world: World) -> None:
        await asyncio.Event().wait()

    with pytest.raises(DeadlockError) as caught:
        simulate(scenario, seed=41)
    assert "seed 41" in caught.value.__notes__[0]


def test_a_simulation_has_no_threads_and_no_sockets(tmp_path):
    async def scenario(world: World) -> set[int]:
        async with Database.open(tmp_path / "a.db", schema=SCHEMA, exclusive=True) as db:
            homes = {await db.read(lambda _: threading.get_ident()), threading.get_ident()}
            homes.add(await asyncio.to_thread(threading.get_ident))
        with pytest.raises(NotImplementedError):
            await asyncio.open_connection("127.0.0.1", 1)
        return homes

    before = threading.active_count()
    assert len(simulate(scenario, seed=1)) == 1
    assert threading.active_count() == before


def test_aiosqlite_still_has_the_names_that_the_simulation_replaces():
    assert vars(aiosqlite.core)["Thread"] is threading.Thread
    with inline_aiosqlite():
        connection = aiosqlite.core.Connection(lambda: sqlite3.connect(":memory:"), 1)
        assert type(connection._tx).__module__ == "tests.simulation.loop"
        assert type(connection._thread).__module__ == "tests.simulation.loop"


def test_answers_of_one_database_keep_their_order(in_simulation, tmp_path):
    async def scenario(world: World) -> list[int]:
        order: list[int] = []
        async with Database.open(tmp_path / "a.db", schema=SCHEMA, exclusive=True) as db:

            async def read(number: int) -> None:
                await db.read(lambda _: None)
                order.append(number)

            await asyncio.gather(*(read(number) for number in range(30)))
        return order

    assert in_simulation(scenario) == list(range(30))


def test_a_scenario_that_fails_leaves_no_task_behind(tmp_path):
    ended = []

    async def scenario(world: World) -> None:
        async def forgotten() -> None:
            async with Database.open(tmp_path / "a.db", schema=SCHEMA, exclusive=True) as db:
                try:
                    await asyncio.sleep(3600)
                finally:
                    ended.append(db.failure)

        task = asyncio.create_task(forgotten())
        await asyncio.sleep(1)
        assert not task.done()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        simulate(scenario, seed=1)
    assert len(ended) == 1


class TestVirtualClock:
    def test_it_follows_the_loop(self):
        async def scenario(world: World) -> None:
            boot = world.clock.now()
            await asyncio.sleep(90)
            now = world.clock.now()
            assert (now.wall_ms, now.mono_ms) == (START_WALL_MS + 90_000, 90_000)
            assert now.boot_id == boot.boot_id

        simulate(scenario, seed=1)

    def test_a_step_moves_the_wall_clock_only(self):
        async def scenario(world: World) -> None:
            await asyncio.sleep(10)
            world.clock.step(-86_400_000)
            now = world.clock.now()
            assert now.wall_ms == START_WALL_MS + 10_000 - 86_400_000
            assert (now.mono_ms, now.state) == (10_000, ClockState.STEPPED)

        simulate(scenario, seed=1)

    def test_drift_adds_up_until_a_time_source_ends_it(self):
        async def scenario(world: World) -> None:
            world.clock.drift(50)
            await asyncio.sleep(100_000)
            assert world.clock.wall_ms() == START_WALL_MS + 100_005_000
            assert world.clock.mono_ms() == 100_000_000
            world.clock.synchronise()
            assert world.clock.wall_ms() == START_WALL_MS + 100_000_000

        simulate(scenario, seed=1)

    def test_a_reboot_without_a_battery_is_another_boot_in_1970(self):
        async def scenario(world: World) -> None:
            before = world.clock.now()
            await asyncio.sleep(5)
            world.clock.reboot(keeps_time=False)
            await asyncio.sleep(2)
            after = world.clock.now()
            assert after.boot_id != before.boot_id
            assert (after.wall_ms, after.mono_ms) == (2_000, 2_000)
            assert after.state is ClockState.UNSYNCED

        simulate(scenario, seed=1)

    def test_machines_of_one_world_differ(self):
        async def scenario(world: World) -> None:
            assert world.machine().boot_id != world.machine().boot_id

        simulate(scenario, seed=1)


def test_the_loop_counts_its_turns():
    loop = SimLoop(1)
    loop.run_until_complete(asyncio.sleep(0))
    assert loop.turns > 0
    loop.close()
