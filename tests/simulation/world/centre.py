"""The coordinator as a program that can be killed: its real parts over a real database.

Contacts, words and enrolments go in as bytes and come out as bytes, as HTTP's handlers hand them
on; the HTTP around them has tests of its own. Owns putting it together and what its people do at
its doors. Leaves out what people want (`people`) and the line (`line`).
"""

import asyncio
import contextlib
import sqlite3
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from unittest import mock

from coordinator import app, app_parts
from coordinator.api.context import Parts
from coordinator.contract.fleet import ClaimFile
from coordinator.core.ports import Store, Tx
from coordinator.keys.directory import DataDirectory
from coordinator.listen import Listen
from coordinator.place import Place
from coordinator.services import rollups
from coordinator.services.bell import Bell
from coordinator.services.claims import ClaimWish, create_claim
from coordinator.services.dispatcher import Dispatcher
from coordinator.services.triggers import Triggers
from shared import limits
from shared.clock import WallMs
from shared.runtime.service import State, Supervisor
from shared.sync.body import BodyDecoder
from tests.simulation.loop import SeededEntropy
from tests.simulation.world import told
from tests.simulation.world.disk import Disks
from tests.simulation.world.files import at_rest
from tests.simulation.world.fleet import found, write_fleet
from tests.simulation.world.ground import Ground
from tests.simulation.world.life import GoneError, Lives, Process
from tests.simulation.world.transitions import Walk

T = TypeVar("T")

_LOOK_S = 900.0
"""How often services look for what nobody told them of. More often, most of a world is looking."""
_DAMAGE = ("store_corrupt", "put the database back from a backup")
"""What a coordinator says that does not begin on a damaged file."""
_FAR_MS = WallMs(4_000_000_000_000)


class _Bell(Bell):
    """Nobody else in this world writes to the coordinator's database."""

    def hung_at(self, path: Path) -> contextlib.nullcontext[None]:  # type: ignore[override]  # is one too
        return contextlib.nullcontext()


class _Renewal:
    """Nobody here asks for a certificate."""

    name = "renewal"

    def __init__(self, *_: object) -> None: ...

    async def run(self) -> None:
        """Have nothing to do."""
        await asyncio.get_running_loop().create_future()


@dataclass(frozen=True)
class Request:
    """What an agent sends."""

    path: str
    body: bytes
    wait_s: int = 0


class Centre(Lives):
    """One coordinator."""

    def __init__(self, ground: Ground, disks: Disks) -> None:
        super().__init__(ground, disks, "centre")
        self.parts: Parts | None = None
        self._entropy = ground.entropy(self.name)
        self._secrets = ground.entropy("claims")
        self._supervisor: Supervisor
        self.walk = Walk(ground, "centre")
        self._serving = 0
        self.told: deque[tuple[bytes, bytes]] = deque(maxlen=told.NEWEST)
        """The newest requests and answers; empty once the file was put back."""

    @property
    def place(self) -> Place:
        directory = DataDirectory(self.folder)
        return Place(directory=directory, database=directory.database)

    async def found(self) -> None:
        """Found the fleet; then it can be started."""
        self.folder.mkdir(parents=True)
        write_fleet(self.folder)
        await found(self.folder, self.clock, self.ground.entropy("founding"))

    @contextlib.contextmanager
    def in_force(self) -> Iterator[None]:
        """Let the coordinator's own composition root meet this world instead of this machine."""
        with (
            mock.patch.object(app_parts, "SystemEntropy", self._take_entropy),
            mock.patch.object(app, "Supervisor", self._supervise),
            mock.patch.object(app, "listening", self._listening),
            mock.patch.object(app, "Bell", _Bell),
            mock.patch.object(app, "Renewal", _Renewal),
            mock.patch.object(app, "server_context"),
            mock.patch.object(app, "renew_if_due"),
            mock.patch.object(limits, "TELLER_LOOK_S", _LOOK_S),
            mock.patch.object(rollups, "LOOK_S", _LOOK_S),
            mock.patch.object(Dispatcher, "look_s", _LOOK_S),
            mock.patch.object(Triggers, "look_s", _LOOK_S),
        ):
            yield

    async def live(self, process: Process) -> None:
        """Serve until cancelled."""
        self._entropy = self.ground.entropy(self.name, process.number)
        listen = Listen(host="127.0.0.1", port=0)
        await app.serve(self.place, listen, ready=lambda _url: None, clock=self.clock)

    def _take_entropy(self) -> SeededEntropy:
        return self._entropy

    def _supervise(self, *given: Any, **named: Any) -> Supervisor:
        self._supervisor = Supervisor(*given, **named)
        return self._supervisor

    @contextlib.asynccontextmanager
    async def _listening(self, parts: Parts, *_: object) -> AsyncIterator[str]:
        process, supervisor, self.parts = self.now, self._supervisor, parts
        try:
            yield "https://127.0.0.1:1"
        finally:
            if self.parts is parts:
                self.parts = None
            if process is not None:
                self._look_at(supervisor, process)

    def moved(self, before: Path, after: Path) -> None:
        """Nothing in the folder knows its name."""

    def looked(self, db: sqlite3.Connection, path: Path) -> None:
        """Follow the executions."""
        if path.name == "coordinator.db":
            self.walk.look_at_centre(db)

    def _look_at(self, supervisor: Supervisor, process: Process) -> None:
        for name, health in supervisor.health.items():
            defect = health.crashes and not health.last_error.startswith("WorldError")
            if defect or (health.state is State.FINISHED and not process.dead):
                self.ground.wrong(f"{self.name}: {name} crashed: {health.last_error}")

    # --- for agents -------------------------------------------------------------------------------
    async def answer(self, request: Request) -> bytes:
        """Answer one request.

        Raises:
            GoneError: it is down, or went down over it.
            RefusedError: nothing of it was used.
            WorldError: its store does not work now.
        """
        process, parts = self.now, self.parts
        if process is None or process.dead or parts is None:
            raise GoneError
        self._serving += 1
        answer = await process.carry_out(_serve(parts, request), f"request {self._serving}")
        if request.path == "/v1/sync":
            self.told.append((request.body, answer))
            if process.disk.failing:
                self._keeps_its_word()
        return answer

    def start(self) -> None:
        """Begin a life; what the last one told is kept in what it left."""
        self._keeps_its_word()
        super().start()

    def _keeps_its_word(self) -> None:
        if not self.told:
            return
        with at_rest(self.place.database):
            for said in list(self.told):
                for what in told.not_kept(self.place.database, *said):
                    self.ground.wrong(what)
                    self.told.clear()

    def _say(self, process: Process, what: str) -> None:
        if self.ruined and any(named in what for named in _DAMAGE):
            self.off = True
            self.ground.note(self.name, "names the damage")
            return
        super()._say(process, what)

    def _struck(self, fault: str) -> None:
        self.ground.hit(f"centre disk {fault}")
        super()._struck(fault)

    async def claim(self) -> bytes:
        """Return a secret that lets one gateway in.

        Raises:
            GoneError, WorldError: as `change`.
        """
        wish = ClaimWish(site="hill", count=1, expires_ms=_FAR_MS, url="")

        async def create(parts: Parts) -> ClaimFile:
            return await create_claim(
                parts.store,
                parts.documents.now.fleet,
                "",
                wish,
                actor="test",
                clock=self.clock,
                entropy=self._secrets,
            )

        return bytes.fromhex((await self.ask(create)).secret)

    # --- for people -------------------------------------------------------------------------------
    async def change(self, body: Callable[[], Tx[T]]) -> T:
        """Run a transaction as a REST handler does.

        Raises:
            GoneError, WorldError: it was not done, or nobody knows.
        """
        return await self._in_store(lambda store: store.run(body, durable=True))

    async def look(self, body: Callable[[], Tx[T]]) -> T:
        """Read as a REST handler does; as `change`."""
        return await self._in_store(lambda store: store.read(body))

    async def _in_store(self, do: Callable[[Store], Coroutine[Any, Any, T]]) -> T:
        return await self.ask(lambda parts: do(parts.store))

    async def ask(self, do: Callable[[Parts], Coroutine[Any, Any, T]]) -> T:
        """Do what a REST handler does with the parts; as `change`."""
        process, parts = self.now, self.parts
        if process is None or process.dead or parts is None:
            raise GoneError
        return await process.carry_out(do(parts), "asked")


async def _serve(parts: Parts, request: Request) -> bytes:
    if request.path == "/v1/word":
        return await parts.members.hear(request.body)
    if request.path == "/v1/enroll":
        return await parts.members.enroll(request.body, address="10.0.0.9")
    decoder, reception = BodyDecoder(len(request.body)), parts.intake.begin()
    await reception.take(decoder.feed(request.body))
    decoder.finish()
    return await reception.answer(body_bytes=len(request.body), wait_s=request.wait_s)
