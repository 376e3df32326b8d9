"""Replicas of one coordinator on one PostgreSQL database, each a process of its own."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from coordinator.app import Place
from tests.system.coordinator_world import Gateway, World, client_of
from tests.system.test_coordinator_processes import running

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


async def move(gateway: Gateway, to: Replica) -> None:
    """Let a gateway's next contact reach another replica."""
    gateway.client = to.world
