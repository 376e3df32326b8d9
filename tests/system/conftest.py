"""Fixtures of the system tests."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from coordinator.cli.__main__ import main
from tests.stores import ENGINES
from tests.system.coordinator_world import Gateway, World, open_world
from tests.system.fleet import Fleet, open_fleet
from tests.system.fleet_parts import TCP_PUMP
from tests.system.warm import kept_warm


@pytest.fixture
async def fleet(tmp_path: Path, founded: Path) -> AsyncIterator[Fleet]:
    """An empty fleet; whatever a test starts in it is stopped at its end."""
    async with open_fleet(tmp_path, founded) as found:
        yield found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(tmp_path_factory: pytest.TempPathFactory, founded: Path) -> AsyncIterator[Fleet]:
    """A coordinator for all tests of a module, with one enrolled agent that does not run.

    They have to share its loop: ``pytest.mark.asyncio(loop_scope="module")``.
    """
    async with open_fleet(tmp_path_factory.mktemp("served"), founded) as fleet:
        await fleet.start_coordinator()
        await fleet.add_gateway("north", TCP_PUMP, start=False)
        yield fleet


@pytest.fixture(scope="session")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where the keys of the run's one fleet are kept; the first coordinator makes them.

    While there are fleets, their admins' and technicians' commands need no start of their own.
    """
    with kept_warm(tmp_path_factory.mktemp("warm")):
        yield tmp_path_factory.mktemp("founded") / "coordinator"


@pytest.fixture(params=ENGINES)
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    """A coordinator on each engine, in this process; modules with other wishes have their own."""
    async with open_world(tmp_path, engine=request.param) as made:
        yield made


@pytest.fixture
async def gateway(world: World) -> Gateway:
    """A gateway that the world's coordinator let in."""
    return await world.gateway("pump-station")


@pytest.fixture
def run(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Awaitable[tuple[int, str, str]]]:
    """Run one command of the admin's in this process: status, what it printed, what it complained
    of."""
    monkeypatch.setenv("OUTSTATION_URL", world.url)
    monkeypatch.setenv("OUTSTATION_CONFIG", str(world.place.directory.admin))
    for name in ("OUTSTATION_TOKEN", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)

    async def command(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        status = await asyncio.to_thread(main, list(map(str, arguments)))
        said = capsys.readouterr()
        return int(status), said.out, said.err

    return command
