"""A simulated fleet against the product's own processes, with rollups in a process of their own."""

import asyncio
import json
import os
import signal
import sqlite3
import sys
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from shared import limits

_PATIENCE_S = 60.0


async def ran(*arguments):
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", *map(str, arguments), stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    assert process.returncode == 0, arguments
    return out.decode()


@asynccontextmanager
async def coordinator(folder, *, through=()):
    """Run one behind a proxy that is not there, on a socket, started through another program."""
    socket = folder / "s"
    process = await asyncio.create_subprocess_exec(
        *(*through, sys.executable, "-m", "coordinator", "run", "--data", str(folder / "c")),
        *("--behind-proxy", "--listen", f"unix:{socket}"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        assert process.stdout is not None
        assert await process.stdout.readline() == f"ready unix:{socket}\n".encode()
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        await process.wait()
        process._transport.close()  # type: ignore[attr-defined]  # asyncio has no public way


async def child_of(pid, *, other_than=0):
    """Return the child of a process once it has one, or another one."""
    path = Path(f"/proc/{pid}/task/{pid}/children")
    async with asyncio.timeout(_PATIENCE_S):
        while (found := path.read_text().split()) in ([], [str(other_than)]):
            await asyncio.sleep(0.05)
    (child,) = found
    return int(child)


async def rolled_up(folder):
    """Return the number of rows of rollups once nothing waits any more."""
    async with asyncio.timeout(_PATIENCE_S):
        while True:
            db = sqlite3.connect(folder / "c" / "coordinator.db")
            waiting, rows = (
                db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
                for table in ("rollup_due", "rollup")
            )
            db.close()
            if not waiting and rows:
                return rows
            await asyncio.sleep(0.1)


async def gone(pid):
    async with asyncio.timeout(_PATIENCE_S):
        # It may go between two looks, or between the opening of its file and the reading.
        with suppress(FileNotFoundError, ProcessLookupError):
            while Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
                await asyncio.sleep(0.05)


@pytest.fixture
async def folder(tmp_path):
    await ran("coordinator", "init", tmp_path / "c")
    claim = ("--site", "sim", "--count", "20", "--url", f"unix:{tmp_path / 's'}")
    await ran("coordinator", "claim", "create", "--data", tmp_path / "c", *claim, tmp_path / "k")
    return tmp_path


async def play(folder, *options):
    text = await ran("firmware_sim", "fleet", folder / "fleet", "--json", *options)
    return json.loads(text.splitlines()[-1])


async def test_a_fleet_delivers_and_its_readings_are_rolled_up_by_another_process(folder):
    async with coordinator(folder):
        enrol = ("--agents", "20", "--claim", folder / "k")
        first = await play(folder, *enrol, "--contacts", "40", "--in-flight", "4")
        again = await play(folder, "--contacts", "40", "--keep-alive", "--rate", "500")
        assert first["refused"] == again["refused"] == {}
        assert first["contacts"] >= 40
        assert first["blocks"] == first["contacts"]
        assert first["readings_per_s"] > 0
        assert await rolled_up(folder) >= 20


async def test_the_background_process_is_started_again_and_outlives_no_coordinator(folder):
    async with coordinator(folder) as process:
        child = await child_of(process.pid)
        os.kill(child, signal.SIGKILL)
        another = await child_of(process.pid, other_than=child)
        process.kill()
        await process.wait()
        await gone(another)


async def test_each_gateway_of_a_fleet_has_one_turn(folder):
    async with coordinator(folder):
        enrol = ("--agents", "20", "--claim", folder / "k")
        cut = ("--outage", "0:1:50", "--in-flight", "8")
        first = await play(folder, *enrol, *cut, "--once", "--seconds", "60")
        seats = [json.loads(line) for line in (folder / "fleet").read_text().splitlines()[1:]]
    assert [seat["has_schema"] and seat["delivered"] > 0 for seat in seats] == [True] * 20
    assert first["contacts"] >= 20


async def test_what_rollups_compute_stands_back_for_contacts_and_what_they_write_does_not(folder):
    # Whoever starts it puts it further back than its own threads stand back.
    stands = os.getpriority(os.PRIO_PROCESS, 0) + 2 * limits.BACKGROUND_NICE
    through = ("nice", "-n", str(2 * limits.BACKGROUND_NICE))
    async with coordinator(folder, through=through) as process:
        child = await child_of(process.pid)
        await play(folder, "--agents", "4", "--claim", folder / "k", "--once", "--seconds", "60")
        await rolled_up(folder)
        threads = [int(path.name) for path in Path(f"/proc/{child}/task").iterdir()]
        nice = {one: os.getpriority(os.PRIO_PROCESS, one) for one in threads}
    assert nice.pop(child) == stands, "the loop, and with it every transaction"
    assert set(nice.values()) == {stands, stands + limits.BACKGROUND_NICE}
