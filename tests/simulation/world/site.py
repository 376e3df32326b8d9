"""One gateway through its lives: the whole real agent, on this world's time, disk and line.

The agent is put together by its own composition root. Only what it meets of the machine is the
world's: clocks, entropy, sockets, free space. Owns that exchange and what is noted of readings.
"""

import asyncio
import contextlib
import sqlite3
from collections.abc import Iterator, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any
from unittest import mock

import agent.app
import agent.line
import agent.services.box
from agent.app import BEGIN_AGAIN, Agent
from agent.config import AgentConfig, load_config
from agent.core.ports import Bus, PollRow
from agent.core.sampler import ChannelTable
from agent.services.bus_tasks import BusTask
from agent.services.carrier import Carrier
from agent.services.identity import Enrolment, load_or_make_signer, load_signer
from agent.services.joining import keep
from agent.services.keeper import Keeper
from agent.services.status import LiveStatus
from agent.services.stick_door import StickDoor
from agent.services.uplink import Uplink
from agent.store.jobs_file import JobsFile
from agent.store.journal import JournalFolder
from agent.store.telemetry import TelemetryStore
from shared.ids import AgentId
from shared.model.reading import Quality
from shared.runtime.service import Supervisor
from shared.trust.documents import ENROLL_TYP
from shared.trust.envelope import seal
from shared.trust.root import open_root
from shared.wire.codec import pack, unpack
from shared.wire.messages import EnrollAnswer, EnrollRequest
from tests.simulation.world.centre import Centre, Request
from tests.simulation.world.disk import Disks
from tests.simulation.world.ground import Ground
from tests.simulation.world.life import Lives, Process
from tests.simulation.world.line import Line, Phone
from tests.simulation.world.plant import Plant, PlantBus
from tests.simulation.world.transitions import Walk

_PROFILE = Path(__file__).parents[3] / "firmware_sim/demo/profiles/pump.toml"
COUNTED = "poll_count"
"""The point that counts how often its device was read: each value is one reading in the world."""
_LEFT_OUT = ("pressure", "flow", "motor_current", "energy")
"""Not polled: one quantity, one state and one count try all that is to be tried of readings."""
POLL_S = 240
SYNC_S = 900
_COMMIT_S = 300
_REFUSED_S = 3 * _COMMIT_S
"""A disk to which nothing was saved for so long refuses."""


class Site(Lives):
    """One gateway with its devices."""

    def __init__(
        self, ground: Ground, disks: Disks, name: str, centre: Centre, *, pumps: int = 1
    ) -> None:
        super().__init__(ground, disks, name)
        self.centre = centre
        self.plant = Plant(ground, name, pumps)
        self.line = Line(ground, centre, name)
        self.recorded: dict[tuple[str, int], float] = {}
        """When each counted reading was recorded, by device and count; true time."""
        self.program: Program | None = None
        self.agent = AgentId("")
        self.centre_forgot = False
        """The coordinator was put back from a copy."""
        self.took: list[tuple[float, float]] = []
        """From when to when readings were recorded that nobody could save: the ledger says so."""
        self.saved_s = 0.0
        """When what was recorded was last in the database."""
        self._rows_saved: list[tuple[bytes, bytes, int]] = []
        self.scribbled = False
        """telemetry.db was damaged, and nobody has noticed so far."""
        self.was_restored = False
        """Its stores, or the coordinator's, were put back from earlier."""

        self.forgot_jobs = False
        """Its memory of what ran was lost, or is from earlier."""
        self.put_back: list[tuple[float, float]] = []
        """When its card was put back, and from when its picture was: what lay between is forgotten
        as if it had never been, and nothing is left to say so."""
        self.sick = 0
        """Stories in which its devices misbehave just now."""
        self.disturbed = 0
        """How many of them there were."""
        self.poll_s = POLL_S
        self.walk = Walk(ground, name)

    @property
    def at_work(self) -> bool:
        """Tell whether a task runs."""
        return self.walk.at_work

    def excused(self, recorded_s: float) -> bool:
        """Tell whether something took what was recorded then."""
        return any(since_s <= recorded_s <= until_s for since_s, until_s in self.took)

    @property
    def lost_its_account(self) -> bool:
        """Tell whether what it counted was damaged, or is from earlier."""
        return any(not since_s for since_s, _ in self.took)

    def is_uncounted(self, recorded_s: float) -> bool:
        """Tell whether nobody can tell how much of what was recorded then was taken.

        The power took it, and the disk had refused for long: a commit's interval of what was in
        memory is in the ledger. Or it was acknowledged, by a coordinator that was put back from
        before, and kept in a file that was damaged.
        """
        return any(
            since_s <= recorded_s <= until_s
            and (until_s - since_s > _REFUSED_S if since_s else self.centre_forgot)
            for since_s, until_s in self.took
        )

    @property
    def quiet(self) -> bool:
        """Tell whether the agent is up and has nothing that is worth a contact of its own."""
        uplink = self.program.uplink if self.program and self.up else None
        state = uplink.health.state if uplink else None
        return bool(state and state.answered_ms and not state.failures and not state.drain)

    @property
    def public_key(self) -> bytes:
        """Return the key that the agent signs with."""
        return load_signer(self.folder / "data").public_key

    async def enrol(self, secret: bytes) -> None:
        """Let the box join the fleet, as `outstation-agent enroll` does."""
        data = self.folder / "data"
        self._settle_in(data)
        signer = load_or_make_signer(data, self.ground.entropy(self.name, "key"))
        request = EnrollRequest(secret, signer.public_key, self.name, {"zone": "UTC"}, 1)
        body = seal(ENROLL_TYP, pack(request), [signer])
        answer = unpack(
            await self.centre.answer(Request("/v1/enroll", body)), EnrollAnswer, bound=100_000
        )
        self.agent = AgentId(answer.agent)
        root = open_root(answer.root, trusted=None)
        enrolment = Enrolment(
            agent=self.agent,
            url="https://127.0.0.1:1",
            ca_pem="",
            root_envelope=answer.root,
            root=root,
            labels={"zone": "UTC", "site": answer.site},
        )
        keep(data, enrolment)

    def be(self, other: "Site") -> None:
        """Pass for another one, of which only the data are still to be copied."""
        self.agent = other.agent
        self.walk.forget()
        self._settle_in(self.folder / "data")
        (self.folder / "data").rmdir()

    def _settle_in(self, data: Path) -> None:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        (self.folder / "run").mkdir(mode=0o700, exist_ok=True)
        self._write_config()

    def _write_config(self) -> None:
        pumps = "".join(
            f'[[device]]\nid = "pump-{unit}"\nbus = "line"\naddress = {unit}\n'
            f'profile = "pump.toml"\npoll_interval_s = {POLL_S}\n'
            for unit in range(1, self.plant.units + 1)
        )
        text = (
            '[agent]\ndata_dir = "data"\nruntime_dir = "run"\nlabels = {zone = "UTC"}\n'
            f"[uplink]\nsync_interval_s = {SYNC_S}\n"
            f"[telemetry]\ncommit_interval_s = {_COMMIT_S}\nstorage_min_free_percent = 0\n"
            f'[[bus]]\nname = "line"\nurl = "tcp://10.0.0.1:502"\n{pumps}'
        )
        (self.folder / "agent.toml").write_text(text)
        (self.folder / "pump.toml").write_text(_profile())

    def bus_of(self, settings: Any, process: Process) -> Bus:
        """Return the wire that stands behind a bus of the agent."""
        return PlantBus(settings, self.plant, process)

    async def live(self, process: Process) -> None:
        """Be the agent until cancelled, or until it ends itself."""
        program = Program(self, process, load_config(process.folder / "agent.toml", environ={}))
        self.program = program
        status = await program.run()
        if status == BEGIN_AGAIN:
            self.ground.hit("restart by job", self.name)

    def looked(self, db: sqlite3.Connection, path: Path) -> None:
        """Follow tasks, executions and what is safe of the readings."""
        if path.name == "jobs.db":
            self.walk.look_at_agent(db)
        if path.name == "telemetry.db":
            with contextlib.suppress(sqlite3.Error):
                rows = db.execute("SELECT epoch, journal, last_row FROM state").fetchall()
                if rows and rows != self._rows_saved:
                    self._saved(rows)

    def _saved(self, rows: list[tuple[bytes, bytes, int]]) -> None:
        before, self._rows_saved = self._rows_saved, rows
        if self.scribbled and before and before[0][0] != rows[0][0]:
            # Hours after the damage the file was set aside, with what was saved in it until then.
            self.took.append((0.0, self.saved_s))
            self.scribbled = False
        self.saved_s = self.ground.now_s

    def put_back_store(self, *, scribbled: bool) -> None:
        """Note that telemetry.db is another one now, with the damage that it had when copied."""
        self._rows_saved, self.scribbled = [], scribbled

    def moved(self, before: Path, after: Path) -> None:
        """Give copied journals the names that their new data directory expects."""
        old = JournalFolder(before / "run", before / "data")
        new = JournalFolder(after / "run", after / "data")
        for journal in sorted((after / "run").glob("*.journal")):
            key = bytes.fromhex(journal.stem.split("-")[-1])
            assert journal.name == old.file(key).name, "its folder names it"
            journal.rename(new.file(key))


class Program(Agent):
    """The agent in this world."""

    def __init__(self, site: Site, process: Process, config: AgentConfig) -> None:
        self.site, self.process = site, process
        self.carrier: Carrier | None = None
        self.telemetry: TelemetryStore | None = None
        self.file: JobsFile | None = None
        self.phone = Phone(site.line, process)
        entropy = site.ground.entropy(site.name, process.number)

        def open_bus(settings: Any) -> Bus:
            return site.bus_of(settings, process)

        with (
            mock.patch.object(agent.app, "SystemClock", return_value=site.clock),
            mock.patch.object(agent.app, "SystemEntropy", return_value=entropy),
            mock.patch.object(agent.app, "open_bus", open_bus),
        ):
            super().__init__(config)
        _PHONES[config.data_dir] = self.phone

    async def _work(self, telemetry: TelemetryStore, file: JobsFile) -> None:
        self.telemetry, self.file = telemetry, file
        await super()._work(telemetry, file)

    @property
    def uplink(self) -> Uplink | None:
        """Return what makes contacts, once it is there."""
        return self._line.uplink if self._line else None

    def _make_sticks(self, *parts: Any) -> StickDoor:
        door = super()._make_sticks(*parts)
        self.carrier = door._carrier
        return door

    def _bus_task(self, bus: Bus, telemetry: TelemetryStore, urgency: Any) -> BusTask:
        witness = Witness(self.site, self.process, telemetry, self._table)
        return super()._bus_task(bus, witness, urgency)  # type: ignore[arg-type]  # records only

    def _explain(self, live: LiveStatus, supervisor: Supervisor, *parts: Any) -> None:
        super()._explain(live, supervisor, *parts)
        self.supervisor = supervisor

    async def _leave(self, telemetry: TelemetryStore) -> None:
        if not self.process.dead:
            for name, health in self.supervisor.health.items():
                if health.crashes and not health.last_error.startswith("WorldError"):
                    self.site.ground.wrong(f"{self.site.name}: {name}: {health.last_error}")
        await super()._leave(telemetry)


class Witness:
    """Stands where polls are recorded and writes down each counted reading."""

    def __init__(
        self, site: Site, process: Process, store: TelemetryStore, table: ChannelTable
    ) -> None:
        self._site, self._process, self._store = site, process, store
        self._counted = {
            index: channel.device
            for index, channel in enumerate(table.schema.channels)
            if channel.point == COUNTED
        }

    async def record(self, row: PollRow) -> None:
        """Record a row, and remember it if the process lives."""
        await self._store.record(row)
        if self._process.dead:
            return
        for channel, value, quality in zip(row.channels, row.values, row.qualities, strict=True):
            if channel in self._counted and quality is Quality.GOOD and value is not None:
                self._site.recorded[self._counted[channel], int(value)] = self._site.ground.now_s


class _Control:
    """Stands where the agent listens on a socket for people."""

    name = "control"

    def __init__(self, path: Path, commands: Mapping[str, Any], talks: Mapping[str, Any]) -> None:
        self.commands, self.talks = commands, talks

    async def run(self) -> None:
        """Nobody comes by this way."""
        await asyncio.get_running_loop().create_future()


@cache
def _profile() -> str:
    """Return the demo's pump with fewer polled points: most of a world was their columns."""
    points = _PROFILE.read_text().split("\n[[")
    told = [f'name = "{name}"' in text for text in points for name in _LEFT_OUT]
    assert sum(told) == len(_LEFT_OUT), "the demo's pump has other points now"
    return "\n[[".join(
        text.replace("poll = true", "poll = false")
        if any(f'name = "{name}"' in text for name in _LEFT_OUT)
        else text
        for text in points
    )


_PHONES: dict[Path, Phone] = {}


def _make_link(around: Any, enrolment: Enrolment, where: str) -> Phone:
    return _PHONES[around.config.data_dir]


def _nothing() -> int:
    return 0


def _plenty(_: Path) -> int:
    return 1_000


@contextlib.contextmanager
def machines() -> Iterator[None]:
    """Let every agent that is made inside meet this world instead of this machine.

    What is called again and again is no Mock: that keeps every call.
    """
    _PHONES.clear()
    with (
        mock.patch.object(agent.app, "Control", _Control),
        mock.patch.object(agent.app, "hand_back_code", _nothing),
        mock.patch.object(agent.app, "hand_back_heap", _nothing),
        mock.patch.object(agent.app, "Keeper", partial(Keeper, written=_nothing)),
        mock.patch.object(agent.line, "_make_link", _make_link),
        mock.patch.object(agent.line, "free_mb", _plenty),
        mock.patch.object(agent.services.box, "free_mb", _plenty),
    ):
        yield
