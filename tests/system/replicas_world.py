"""Replicas of one coordinator on one PostgreSQL database, each a process of its own."""

import asyncio
import contextlib
import tomllib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from coordinator.place import Place
from tests.system.coordinator_world import HOST, World, client_of, trust
from tests.system.rest_client import Answered
from tests.system.test_coordinator_processes import Field, running

CONTACTS, REQUESTS = "outstation_waiting_contacts", "outstation_waiting_requests"
"""Series of what a replica holds."""


@dataclass
class Replica:
    """One process and the admin's client of it."""

    process: asyncio.subprocess.Process
    world: World


@asynccontextmanager
async def replica(place: Place, *options: str) -> AsyncIterator[Replica]:
    """Start one; it is killed at the end if it still runs."""
    async with (
        running(place, "--database", place.postgres, *options) as (process, url),
        client_of(place, url) as world,
    ):
        yield Replica(process, world)


@asynccontextmanager
async def replicas(place: Place, count: int, *options: str) -> AsyncIterator[list[Replica]]:
    """Start some at the same time."""
    async with AsyncExitStack() as stack:
        starting = [stack.enter_async_context(replica(place, *options)) for _ in range(count)]
        yield list(await asyncio.gather(*starting))


async def metric(world: World, name: str) -> float:
    """Read one series without labels."""
    text = (await world.get("/metrics")).body.decode()
    [line] = [line for line in text.splitlines() if line.startswith(f"{name} ")]
    return float(line.split()[1])


async def until_waiting(world: World, name: str, count: int = 1) -> None:
    """Wait until a replica holds so many contacts or requests: each answer of it is a step."""
    async with asyncio.timeout(30):
        while await metric(world, name) < count:
            pass


class Balancer:
    """Gives each connection to the next replica that takes it."""

    def __init__(self) -> None:
        self.ports: list[int] = []
        self._turn = 0
        self._tasks: set[asyncio.Task[None]] = set()

    def add(self, one: Replica) -> None:
        """Send connections to a replica, too."""
        self.ports.append(port_of(one))

    def remove(self, one: Replica) -> None:
        """Send no more of them."""
        self.ports.remove(port_of(one))

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        """Take connections while inside; gives the URL."""
        server = await asyncio.start_server(self._serve, HOST, 0)
        try:
            yield f"https://{HOST}:{server.sockets[0].getsockname()[1]}"
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None, "a connection has a task"
        self._tasks.add(task)
        try:
            up_reader, up_writer = await self._connect()
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(carry(reader, up_writer))
                    group.create_task(carry(up_reader, writer))
            finally:
                up_writer.transport.abort()
        except OSError:
            pass  # nobody takes it
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        for _ in range(len(self.ports)):
            self._turn += 1
            with contextlib.suppress(ConnectionError):
                return await asyncio.open_connection(HOST, self.ports[self._turn % len(self.ports)])
        raise ConnectionRefusedError


async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Give on what comes, and its end."""
    with contextlib.suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.close()


def port_of(one: Replica) -> int:
    """Return where a replica listens."""
    return int(one.world.url.rpartition(":")[2])


@asynccontextmanager
async def balanced(place: Place, balancer: Balancer) -> AsyncIterator[World]:
    """The admin's client of whichever replica is next: each request has its own connection."""
    token = tomllib.loads(place.directory.admin.read_text())["token"]
    connector = aiohttp.TCPConnector(ssl=trust(place), force_close=True)
    async with (
        balancer.listening() as url,
        aiohttp.ClientSession(connector=connector, auto_decompress=False) as session,
    ):
        yield World(url, session, token, place)


class Patient(Field):
    """A gateway that says the same again until somebody answers it."""

    async def send(self, sent: bytes) -> Answered:
        """Send one body, as often as it takes."""
        while True:
            with contextlib.suppress(aiohttp.ClientError, OSError):
                answered = await super().send(sent)
                if answered.status != 503:
                    return answered

    async def until(self, over: asyncio.Event) -> None:
        """Go on until told, and then until everything is acknowledged."""
        while not over.is_set() or self.waiting or not self.answers:
            await self.step()


class Hole:
    """A way to the database that can swallow whatever goes through, without an end of it."""

    def __init__(self, url: str, folder: Path) -> None:
        name, _, server = url.partition("?host=")
        self._server, self._folder = f"{server}/.s.PGSQL.5432", folder
        self.url = f"{name}?host={folder}"
        self._light = asyncio.Event()
        self._light.set()
        self._tasks: set[asyncio.Task[None]] = set()

    def go_dark(self) -> None:
        """Swallow."""
        self._light.clear()

    def go_light(self) -> None:
        """Carry on, with what was swallowed as well: so does a network that comes back."""
        self._light.set()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Take connections while inside."""
        server = await asyncio.start_unix_server(self._serve, self._folder / ".s.PGSQL.5432")
        try:
            yield
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None, "a connection has a task"
        self._tasks.add(task)
        try:
            await self._light.wait()
            up_reader, up_writer = await asyncio.open_unix_connection(self._server)
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._carry(reader, up_writer))
                    group.create_task(self._carry(up_reader, writer))
            finally:
                up_writer.transport.abort()
        except OSError:
            pass  # the server is not there
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                await self._light.wait()
                writer.write(data)
                await writer.drain()
        writer.close()
