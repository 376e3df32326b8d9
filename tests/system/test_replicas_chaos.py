"""Replicas that are killed, cut off and upgraded: nothing is lost, doubled, or fired twice."""

import asyncio
import os
import random
import signal
from contextlib import AsyncExitStack
from dataclasses import replace
from itertools import pairwise

import asyncpg
import pytest

from coordinator.store.postgres_schema import SCHEMA, migrate
from shared import limits
from shared.runtime.migrations import Migration, MigrationSet
from shared.sync.ranges import Ranges
from tests.postgres_parts import Server, database
from tests.system.coordinator_world import Gateway, found_in, rows
from tests.system.replicas_world import (
    CONTACTS,
    Balancer,
    Hole,
    Patient,
    balanced,
    replica,
    until_waiting,
)
from tests.system.test_coordinator_processes import run_command

GATEWAYS = 5
EACH_SECOND = {
    "name": "each-second",
    "schedule": {
        "interval_s": 1,
        "misfire": "all",
        "max_catchup": limits.CATCHUP,
        "overlap": "allow",
    },
    "job": {
        "name": "look",
        "steps": [{"id": "look", "action": "device.read", "params": {"points": ["current"]}}],
    },
    "targets": {"selector": "site=north"},
    "max_per_hour": 1_000,
}


@pytest.fixture
async def place(tmp_path):
    async with database(template="template0") as url:
        yield await found_in(tmp_path, postgres=url)


@pytest.mark.slow
async def test_kill_9_of_replicas_in_a_storm_loses_nothing_and_fires_nothing_twice(place):
    choose = random.Random(seed := random.randrange(1 << 32))
    print(f"seed {seed}")
    balancer, over = Balancer(), asyncio.Event()
    async with AsyncExitStack() as stack:
        alive = [await stack.enter_async_context(replica(place)) for _ in range(2)]
        for one in alive:
            balancer.add(one)
        world = await stack.enter_async_context(balanced(place, balancer))
        fields = [Patient(await world.gateway(f"pump-{n}")) for n in range(GATEWAYS)]
        assert (await world.post("/v1/triggers", EACH_SECOND)).status == 201
        work = asyncio.gather(*(field.until(over) for field in fields))
        for _ in range(3):
            goal = answers(fields) + choose.randrange(10, 60)
            while answers(fields) < goal:
                await asyncio.sleep(0)
                assert not work.done(), work
            victim = alive.pop(choose.randrange(len(alive)))
            os.kill(victim.process.pid, signal.SIGKILL)
            await victim.process.wait()
            balancer.remove(victim)
            alive.append(await stack.enter_async_context(replica(place)))
            balancer.add(alive[-1])
        over.set()
        await work
        await world.post("/v1/triggers/each-second/pause", {})
        for field in fields:
            view = await world.read(f"/v1/agents/{field.gateway.name}")
            assert view["blocks_received"] == field.made
            assert view["missing_blocks"] == []
    await check_blocks(place, fields)
    await check_firings(place)


def answers(fields: list[Patient]) -> int:
    return sum(field.answers for field in fields)


async def check_blocks(place, fields):
    for field in fields:
        name = field.gateway.name
        stored = await rows(place, f"SELECT seq FROM block WHERE agent_id = '{name}' ORDER BY seq")
        assert Ranges.of([seq for (seq,) in stored]) == field.acked
        assert len(stored) == field.made


async def check_firings(place):
    """Each second has one firing, each firing one job, each job one execution for each agent."""
    fired = await rows(
        place, "SELECT at_ms, done_ms, outcome, job_id FROM trigger_firing ORDER BY at_ms"
    )
    assert fired
    assert {outcome for _, _, outcome, _ in fired} == {"submitted"}
    check_seconds([(at_ms, done_ms) for at_ms, done_ms, _, _ in fired])
    jobs = [job for _, _, _, job in fired]
    assert len(set(jobs)) == len(jobs)
    assert await rows(place, "SELECT count(*) FROM job") == [(len(jobs),)]
    counts = await rows(place, "SELECT count(*) FROM execution GROUP BY job_id")
    assert set(counts) == {(GATEWAYS,)}


def check_seconds(fired: list[tuple[int, int]]) -> None:
    """No second is left out, but of more than may be caught up: then the newest fire, at once.

    Only a machine that gives no replica so many seconds ever comes to that.
    """
    for place, ((before_ms, _), (at_ms, _)) in enumerate(pairwise(fired), start=1):
        if at_ms != before_ms + 1000:
            done = [done_ms for _, done_ms in fired[place : place + limits.CATCHUP]]
            left = f"{(at_ms - before_ms) // 1000 - 1} seconds are left out before {at_ms}"
            assert done == [done[0]] * limits.CATCHUP, left


async def held_at(one, gateway: Gateway):
    gateway.client = one.world
    held = asyncio.create_task(gateway.ordered(wait=limits.WAIT_S))
    await until_waiting(one.world, CONTACTS)
    return held


async def test_a_replica_that_was_cut_off_from_the_database_comes_back(place, tmp_path):
    (tmp_path / "hole").mkdir()
    hole = Hole(place.postgres, tmp_path / "hole")
    async with (
        hole.open(),
        replica(replace(place, postgres=hole.url)) as cut_off,
        replica(place) as other,
    ):
        gateway = await other.world.gateway("pump")
        await gateway.contact()
        hole.go_dark()
        while (await cut_off.world.get("/readyz")).status == 200:
            pass
        assert (await other.world.get("/readyz")).status == 200
        await other.world.submit("pump")
        assert len((await gateway.ordered()).jobs) == 1, "the other one goes on"
        hole.go_light()
        while (await cut_off.world.get("/readyz")).status != 200:
            pass
        held = await held_at(cut_off, gateway)
        await other.world.submit("pump")
        async with asyncio.timeout(limits.WAIT_S - 15):
            assert (await held).jobs, "and they hear each other again"


async def test_replicas_hear_each_other_again_after_a_restart_of_the_server(tmp_path):
    own = Server()
    try:
        own.start()
        place = await found_in(tmp_path, postgres=own.url("postgres"))
        async with replica(place) as here, replica(place) as there:
            gateway = await here.world.gateway("pump")
            await gateway.contact()
            await asyncio.to_thread(own.stop)
            assert (await here.world.get("/readyz")).status == 503
            await asyncio.to_thread(own.start)
            for one in (here, there):
                while (await one.world.get("/readyz")).status != 200:
                    pass
            held = await held_at(there, gateway)
            await here.world.submit("pump")
            async with asyncio.timeout(limits.WAIT_S - 15):
                assert (await held).jobs
    finally:
        await asyncio.to_thread(own.remove)


def newer(*steps: tuple[str, str]) -> MigrationSet:
    """The schema of a program to come."""
    made = [
        Migration(version=SCHEMA.latest + number, name=name, sql=sql)
        for number, (name, sql) in enumerate(steps, start=1)
    ]
    return MigrationSet((*SCHEMA.migrations, *made))


async def test_an_older_replica_serves_through_an_upgrade_until_its_last_step(place):
    async with replica(place) as old:
        gateway = await old.world.gateway("pump")
        connection = await asyncpg.connect(place.postgres)
        broken = newer(("added", "CREATE TABLE added (x BIGINT); SELECT 1 / 0;"))
        with pytest.raises(asyncpg.DivisionByZeroError):
            await migrate(connection, broken, where="here")
        await old.world.submit("pump")
        assert (await gateway.ordered()).jobs, "what failed left nothing behind"
        schema = newer(
            ("added", "CREATE TABLE added (x BIGINT);"), ("post_taken", "DROP TABLE added;")
        )
        waiting = await migrate(connection, schema, where="here")
        assert [step.name for step in waiting] == ["post_taken"]
        await old.world.submit("pump")
        assert (await gateway.ordered()).jobs
        async with replica(place) as again:
            assert (await again.world.get("/readyz")).status == 200, "it may start, too"
        await migrate(connection, schema, where="here", finish=True)
        await connection.close()
    where = ("--data", place.directory.path, "--database", place.postgres)
    status, _, err = await run_command("run", *where)
    assert (status, err.count("\n")) == (2, 1)
    assert "schema version" in err
