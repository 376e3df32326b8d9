"""A coordinator whose rows are in PostgreSQL: founded, run and killed as a process of its own."""

import asyncio
import os
import random
import signal

import asyncpg
import pytest

from coordinator.keys.directory import DataDirectory
from coordinator.place import Place
from shared.sync.ranges import Ranges
from shared.wire.codec import unpack
from tests.postgres_parts import Server, database, server
from tests.system.coordinator_world import HOST, client_of, found_in
from tests.system.test_coordinator_processes import Field, keep_going, run_command, running


@pytest.fixture
async def url():
    async with database(template="template0") as made:
        yield made


async def rows(url, statement):
    connection = await asyncpg.connect(url)
    try:
        return [tuple(row) for row in await connection.fetch(statement)]
    finally:
        await connection.close()


async def test_keys_stay_in_the_directory_and_rows_go_to_the_database(tmp_path, url):
    folder = tmp_path / "data"
    status, out, err = await run_command("init", folder, "--host", HOST, "--database", url)
    assert status == 0, err
    assert "--database postgresql://test@/t" in out
    assert not (folder / "coordinator.db").exists()
    place = Place(directory=DataDirectory(folder), database=folder / "coordinator.db", postgres=url)
    async with running(place, "--database", url) as (_, at), client_of(place, at) as world:
        field = Field(await world.gateway("pump"))
        while field.waiting or field.answers == 0:
            await field.step()
    assert await rows(url, "SELECT agent_id FROM agent") == [("pump",)]
    status, out, err = await run_command(
        "claim",
        "create",
        "--data",
        folder,
        "--database",
        url,
        "--site",
        "north",
        tmp_path / "claim",
    )
    assert status == 0, err
    status, out, err = await run_command("verify-audit", "--data", folder, "--database", url)
    assert status == 0, err


@pytest.mark.parametrize(
    ("scheme", "sentence"),
    [
        ("mysql://x/y", "is not a database this version can use"),
        ("postgresql://test@/nowhere?host={socket}", "PostgreSQL refused"),
        ("postgresql://test@/nowhere?host=/nonexistent", "no such file or directory"),
        ("postgresql://test@127.0.0.1:1/nowhere", "does not answer (connection refused)"),
        ("postgresql://test@127.0.0.1:port/nowhere", "is no address of a PostgreSQL database"),
    ],
)
async def test_a_database_that_cannot_be_opened_is_one_sentence(tmp_path, scheme, sentence):
    named = scheme.format(socket=server().folder)
    status, _, err = await run_command("init", tmp_path / "data", "--database", named)
    assert status in {1, 2}
    assert sentence in err
    assert err.count("\n") == 1, err
    assert not (tmp_path / "data").exists(), "no keys were made for it"


async def test_a_database_with_a_fleet_founds_no_second_one(tmp_path, url):
    await found_in(tmp_path, postgres=url)
    status, _, err = await run_command("init", tmp_path / "other", "--database", url)
    assert (status, err.count("\n")) == (2, 1)
    assert "one database is one fleet" in err
    assert not (tmp_path / "other").exists()


async def test_keys_of_another_fleet_do_not_serve_a_database(tmp_path, url):
    await found_in(tmp_path, postgres=url)
    other = await found_in(tmp_path / "other")
    status, _, err = await run_command("run", "--data", other.directory.path, "--database", url)
    assert (status, err.count("\n")) == (2, 1)
    assert "director's key" in err


async def test_tables_of_somebody_else_are_left_alone(tmp_path, url):
    connection = await asyncpg.connect(url)
    await connection.execute("CREATE TABLE customers (name TEXT)")
    await connection.close()
    status, _, err = await run_command("init", tmp_path / "data", "--database", url)
    assert (status, err.count("\n")) == (2, 1)
    assert "not made by Outstation" in err


async def test_backup_names_postgresqls_own_tools_and_restore_begins_an_epoch(tmp_path, url):
    place = await found_in(tmp_path, postgres=url)
    where = ("--data", place.directory.path, "--database", url)
    status, _, err = await run_command("backup", *where, tmp_path / "copy")
    assert (status, "pg_dump" in err) == (2, True)
    status, _, err = await run_command("restore", *where, tmp_path / "copy")
    assert (status, "pg_restore" in err) == (2, True)
    status, out, err = await run_command("restore", *where)
    assert status == 0, err
    [(epoch,)] = await rows(url, "SELECT restore_epoch FROM fleet")
    assert epoch > 1_700_000_000
    assert str(epoch) in out


async def committed(url):
    """What the database says after a kill: numbers of the blocks and of the ranges."""
    stored = [seq for (seq,) in await rows(url, "SELECT seq FROM block ORDER BY seq")]
    found = await rows(url, "SELECT received, readings FROM telemetry_store")
    received, readings = found[0] if found else (b"\x90", 0)
    return stored, Ranges(tuple(unpack(received, list[tuple[int, int]], bound=9_999))), readings


async def test_kill_9_of_a_coordinator_keeps_every_acknowledged_block(tmp_path, url):
    choose = random.Random(seed := random.randrange(1 << 32))
    print(f"seed {seed}")
    place = await found_in(tmp_path, postgres=url)
    async with running(place, "--database", url) as (_, at), client_of(place, at) as world:
        field = Field(await world.gateway("pump"))
    for _ in range(3):
        async with (
            running(place, "--database", url) as (process, at),
            client_of(place, at) as world,
        ):
            field.gateway.client = world
            work = asyncio.create_task(keep_going(field))
            goal = field.answers + choose.randrange(0, 12)
            while field.answers < goal:
                await asyncio.sleep(0)
            for _ in range(choose.randrange(0, 400)):
                await asyncio.sleep(0)
            os.kill(process.pid, signal.SIGKILL)
            await process.wait()
            await work
        stored, ranges, readings = await committed(url)
        assert Ranges.of(stored) == ranges, "ranges and blocks are one transaction"
        assert readings == 2 * len(stored), "and so is the count"
        for first, last in field.acked:
            assert not ranges.missing(first, last).spans, "acknowledged and gone"
    async with running(place, "--database", url) as (_, at), client_of(place, at) as world:
        field.gateway.client = world
        while field.waiting or field.answers == 0:
            await field.step()
        view = await world.read("/v1/agents/pump")
        assert view["blocks_received"] == field.made
        assert view["missing_blocks"] == []


@pytest.fixture
def own_server():
    made = Server()
    try:
        made.start()
        yield made
    finally:
        made.remove()


async def test_a_server_that_is_killed_and_comes_back_is_served_again(tmp_path, own_server):
    """Blocks wait for the disk before they are acknowledged: a killed server keeps them."""
    place = await found_in(tmp_path, postgres=own_server.url("postgres"))
    where = ("--database", place.postgres)
    async with running(place, *where) as (_, at), client_of(place, at) as world:
        field = Field(await world.gateway("pump"))
        for _ in range(3):
            while field.waiting or field.answers == 0:
                await field.step()
            await asyncio.to_thread(own_server.kill)
            await asyncio.to_thread(own_server.start)
            stored, ranges, _ = await committed(place.postgres)
            assert Ranges.of(stored) == ranges
            for first, last in field.acked:
                assert not ranges.missing(first, last).spans, "acknowledged and gone"
        while field.waiting or field.answers == 0:
            await field.step()
        view = await world.read("/v1/agents/pump")
        assert view["blocks_received"] == field.made
