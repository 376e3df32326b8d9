"""Two coordinators behind the load balancer that docs/deploy describes, as HAProxy reads it."""

import asyncio
import contextlib
import re
import shutil
import signal
import socket
import tomllib
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from coordinator.place import Place
from tests.postgres_parts import database
from tests.sim_parts import HANG_S
from tests.system.coordinator_world import HOST, World, found_in, trust
from tests.system.replicas_world import Patient, Replica, port_of, replica
from tests.system.test_coordinator_processes import Field

HAPROXY = shutil.which("haproxy") or ""
SHIPPED = Path(__file__).parents[2] / "docs" / "deploy" / "haproxy.cfg"
MORE = 5
DRAIN_S = 20
"""More than two looks of the balancer; twice compose.yaml's, as this machine is busy."""

pytestmark = pytest.mark.skipif(not HAPROXY, reason="HAProxy is not installed (haproxy)")


def placed(text: str, port: int, one: int, two: int) -> str:
    """Return the shipped file for this machine: other addresses, and no resolver of names."""
    text = text.replace("maxconn 20000", "maxconn 500")
    text = text.replace("bind :8443", f"bind {HOST}:{port}")
    text = text.replace("coordinator-1:8443", f"{HOST}:{one}")
    text = text.replace("coordinator-2:8443", f"{HOST}:{two}")
    text = text.replace(" resolvers names init-addr none", "")
    return re.sub(r"\nresolvers .*", "\n", text, flags=re.DOTALL)


async def checked(path: Path) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        HAPROXY, "-c", "-f", path, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    out, _ = await asyncio.wait_for(process.communicate(), HANG_S)
    return process.returncode, out.decode()


@asynccontextmanager
async def balanced(place: Place, folder: Path, *both: Replica) -> AsyncIterator[World]:
    """HAProxy in front of two coordinators; gives an admin's client with a connection a request."""
    with socket.create_server((HOST, 0)) as probe:
        port = int(probe.getsockname()[1])
    config = folder / "haproxy.cfg"
    config.write_text(placed(SHIPPED.read_text(), port, *map(port_of, both)))
    process = await asyncio.create_subprocess_exec(
        HAPROXY, "-db", "-f", config, stdout=asyncio.subprocess.DEVNULL
    )
    token = tomllib.loads(place.directory.admin.read_text())["token"]
    connector = aiohttp.TCPConnector(ssl=trust(place), force_close=True)
    try:
        async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as session:
            world = World(f"https://{HOST}:{port}", session, token, place)
            async with asyncio.timeout(HANG_S):
                while not await is_ready(world):
                    assert process.returncode is None, "HAProxy ended"
            yield world
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def is_ready(world: World) -> bool:
    with contextlib.suppress(aiohttp.ClientError, OSError):
        return (await world.get("/readyz")).status == 200
    return False


async def rounds(fields: Sequence[Field], count: int) -> None:
    async with asyncio.timeout(HANG_S):
        for _ in range(count):
            await asyncio.gather(*(field.step() for field in fields))


async def test_the_shipped_configuration_is_one() -> None:
    status, out = await checked(SHIPPED)
    assert status == 0, out
    assert "WARNING" not in out, out


@pytest.mark.timeout(180)
async def test_a_coordinator_that_drains_or_is_killed_costs_no_gateway_anything(
    tmp_path: Path,
) -> None:
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        place = await found_in(tmp_path, postgres=await enter(database(template="template0")))
        one = await enter(replica(place, "--drain", str(DRAIN_S)))
        two = await enter(replica(place))
        world = await enter(balanced(place, tmp_path, one, two))
        plain = [Field(await world.gateway(f"pump-{n}")) for n in range(3)]
        await rounds(plain, MORE)
        one.process.send_signal(signal.SIGTERM)
        # Not one contact is refused or cut: a Field would not try again.
        while one.process.returncode is None:
            await rounds(plain, 1)
        assert one.process.returncode == 0
        await rounds(plain, MORE)
        await enter(replica(place, "--listen", f"{HOST}:{port_of(one)}"))
        patient = [Patient(await world.gateway(f"valve-{n}")) for n in range(3)]
        await rounds(patient, MORE)
        two.process.kill()
        await two.process.wait()
        await rounds(patient, 2 * MORE)
        for field in (*plain, *patient):
            view = await world.read(f"/v1/agents/{field.gateway.name}")
            assert view["blocks_received"] == field.made
            assert view["missing_blocks"] == []
