"""The composition root of the agent: the only place that names concrete classes.

Owns what is made of what, in which order it starts, and in which order it stops: first the work,
then the readings are sealed, then one last contact, then the files. Leaves out the command line
(`agent.__main__`).
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path

from agent.buses.factory import open_bus
from agent.config import AgentConfig, load_config
from agent.core.adopted import adopted_in
from agent.core.device import DeviceSettings
from agent.core.firmware import FirmwareSource
from agent.core.ports import Bus, Driver
from agent.core.progress import Progress
from agent.core.sampler import ChannelTable, channel_table
from agent.drivers.registry import make_driver
from agent.engine import Engine, Site, make_engine
from agent.line import Around, Joined, Line, find_joined
from agent.services.adopter import Adopter
from agent.services.ask import socket_path
from agent.services.bus_tasks import BusTask, Observer, transfer_of
from agent.services.calendar import Calendar
from agent.services.control import Control, Talk
from agent.services.flash import look_at_flash
from agent.services.follower import Follower
from agent.services.keeper import Keeper
from agent.services.lookout import Lookout
from agent.services.membership import commands_of
from agent.services.self_config import SelfConfig
from agent.services.status import LiveStatus, silence_of, troubled_services
from agent.services.stick_door import StickDoor
from agent.services.urgency import Urgency
from agent.sticks import make_carrier, stick_shelf
from agent.store.contact import ContactStore
from agent.store.jobs import JobStore
from agent.store.jobs_file import JobsFile
from agent.store.telemetry import TelemetryStore
from shared.errors import MistakeError
from shared.ids import DeviceId
from shared.runtime.clock import SystemClock, SystemEntropy
from shared.runtime.files import lock_directory
from shared.runtime.logs import Events
from shared.runtime.memory import hand_back_code, hand_back_heap
from shared.runtime.service import Service, Supervisor

BEGIN_AGAIN = 75
"""Exit status of a run that a job ended so that another begins (EX_TEMPFAIL of sysexits.h)."""
FAREWELL_S = 5
"""For the last contact: service managers kill what has not stopped after some ten seconds."""
_log = Events(__name__)

Devices = Mapping[DeviceId, tuple[DeviceSettings, Driver]]


class Agent:
    """One agent, wired; `run` is its whole life."""

    def __init__(self, config: AgentConfig) -> None:
        """Check everything of the configuration that needs no file and no port.

        Raises:
            MistakeError: a bus or a device that cannot be.
        """
        self._config = config
        self._clock, self._entropy = SystemClock(), SystemEntropy()
        self._calendar = Calendar(self._clock)
        try:
            self._buses: dict[str, Bus] = {bus.name: open_bus(bus) for bus in config.buses}
            self._devices: Devices = {
                device.id: (device, make_driver(device, self._buses[device.bus]))
                for device in config.devices
            }
        except MistakeError as error:
            where = f"{config.path}: {error.where}"
            raise MistakeError(error.what, where=where, mend=error.mend) from error
        self._table: ChannelTable = channel_table(config.devices)
        self._around = Around(config, self._clock, self._calendar, self._entropy)
        self._line: Line | None = None
        self._observe: Observer | None = None
        self._leaving = asyncio.Event()

    async def run(self) -> int:
        """Work until cancelled, or until a job restarts it; return the exit status.

        Raises:
            MistakeError: another process uses the data directory or a database, a newer program
                made it, or the directory cannot be used.
        """
        data_dir = self._config.data_dir
        await asyncio.to_thread(_make_directory, data_dir)
        async with AsyncExitStack() as stack:
            stack.enter_context(lock_directory(data_dir))
            telemetry = await TelemetryStore.open(
                data_dir,
                self._config.runtime_dir,
                self._table,
                self._config.telemetry,
                clock=self._clock,
                entropy=self._entropy,
            )
            stack.push_async_callback(telemetry.close)
            file = await JobsFile(data_dir, self._entropy).open()
            stack.push_async_callback(file.close)
            for bus in self._buses.values():
                stack.push_async_callback(bus.close)
            await self._work(telemetry, file)
        return BEGIN_AGAIN if self._leaving.is_set() else 0

    async def _work(self, telemetry: TelemetryStore, file: JobsFile) -> None:
        joined, trouble = find_joined(self._around)
        jobs, exchange = JobStore(file), ContactStore(file)
        work: list[Service] = []
        talks: dict[str, Talk] = {}
        engine: Engine | None = None
        if joined:
            line = self._line = Line(self._around, joined, exchange)
            await line.prepare()
            # Nothing runs for a box that does not know whom to trust.
            engine = self._make_engine(line, file)
            work = [
                line.connect(jobs, telemetry, ordered=engine.wake),
                *engine.services,
                line.guard,
                files := line.fetching(file),
                *([line.sharing] if line.sharing else []),
            ]
            engine.caretaker.shelf = files
            engine.runner.firmware = FirmwareSource(
                files, line.guard.may_install, line.guard.release_of
            )
            sticks = self._make_sticks(line, file, telemetry, (engine.wake, files.wake))
            talks = {"export": sticks.export, "import": sticks.take, **engine.talks}
            line.images = self._images
            self._observe = engine.standing.observe
        urgency = Urgency(telemetry, clock=self._clock, nudge=self._alarm)
        polls = [
            (bus.settings, self._bus_task(bus, telemetry, urgency)) for bus in self._buses.values()
        ]
        if self._line is not None:
            tasks = [task for _, task in polls]
            self._line.silence = lambda: silence_of(tasks, self._clock.mono_ms())
        live = LiveStatus(
            enrolment=joined.enrolment.at(self._config.uplink.endpoint) if joined else None,
            telemetry=telemetry,
            jobs=jobs,
            contact=exchange,
            uplink=self._line.uplink if self._line else None,
            buses=polls,
            clock=self._clock,
        )
        path = socket_path(self._config.runtime_dir, self._config.data_dir)
        standing = self._line.standing if self._line else None
        services: list[Service] = [
            *work,
            self._keeper(telemetry),
            urgency,
            *(task for _, task in polls),
            Control(path, {"status": live.gather, **commands_of(standing)}, talks),
        ]
        if engine and self._line:
            services.append(self._brief(engine, self._line, telemetry, live))
        supervisor = Supervisor(services, clock=self._clock, entropy=self._entropy)
        self._explain(live, supervisor, telemetry, file, trouble)
        self._say_hello(joined, trouble)
        try:
            async with supervisor:
                hand_back_heap()
                await self._leaving.wait()
        finally:
            await self._leave(telemetry)

    def _explain(
        self,
        live: LiveStatus,
        supervisor: Supervisor,
        telemetry: TelemetryStore,
        file: JobsFile,
        trouble: str,
    ) -> None:
        """Let the status know what only the whole knows."""
        line, left = self._line, self._config.aside
        aside = f"agent.toml leaves {', '.join(left)} alone: not polled" if left else ""

        def troubles() -> dict[str, str]:
            kept = telemetry.status
            told = {"enrolment": trouble, "readings": kept.trouble, "journal": kept.journal}
            told |= {"jobs": file.trouble, "trust": line.guard.trouble if line else ""}
            told["member"] = line.standing.trouble if line else ""
            told["aside"] = aside
            told |= troubled_services(supervisor.health)
            return {part: what for part, what in told.items() if what}

        live.troubles = troubles
        live.calendar = self._calendar
        if line is not None:
            live.purse, live.files = line.purse, line.files
        began_ms = self._clock.mono_ms()
        live.flash = lambda: look_at_flash(self._config.data_dir, self._clock.mono_ms() - began_ms)

    async def _leave(self, telemetry: TelemetryStore) -> None:
        """Take leave: what was read is sealed, and sent if the link was up."""
        await telemetry.seal()
        if self._line is not None and self._line.uplink is not None:
            await self._line.uplink.farewell(FAREWELL_S)
        _log.event("agent_stopped")

    def _alarm(self) -> None:
        if self._line is not None:
            self._line.alarm()

    def _make_engine(self, line: Line, file: JobsFile) -> Engine:
        uplink = self._config.uplink
        site = Site(
            agent=line.joined.enrolment.agent,
            data_dir=self._config.data_dir,
            zone=uplink.time_zone,
            metered=uplink.metered,
            link=line.facts,
            scripts=self._config.scripts,
        )
        return make_engine(
            file,
            self._devices,
            site,
            calendar=self._calendar,
            clock=self._clock,
            entropy=self._entropy,
            permits=(line.permit, line.guard.may_write, line.guard.script_hash),
            bells=(line.nudge, line.alarm),
        )

    def _brief(
        self, engine: Engine, line: Line, telemetry: TelemetryStore, live: LiveStatus
    ) -> SelfConfig:
        """Tell the caretaker what it may ask and change; return what tries settings, to be run."""
        config, caretaker = self._config, engine.caretaker
        settings = self._make_self_config(engine, telemetry)
        caretaker.status, caretaker.leave = live.gather, self._leaving.set
        caretaker.findings, caretaker.settings = self._findings, settings
        caretaker.bundles = line.standing.bundles
        if caretaker.shelf is not None:
            caretaker.adopter = Adopter(
                data_dir=config.data_dir,
                buses=self._buses,
                shelf=caretaker.shelf,
                settings=settings,
                may_adopt=line.guard.may_adopt,
                aside=config.discovery.aside,
            )
        caretaker.lookout = lookout = Lookout(
            config.data_dir,
            self._buses,
            config.devices,
            config.discovery,
            now=self._calendar.now,
        )
        lookout.follower = Follower(
            settings, self._buses, config.devices, adopted_in(config.remote)
        )
        return settings

    def _make_self_config(self, engine: Engine, telemetry: TelemetryStore) -> SelfConfig:
        async def readings() -> int:
            return (await telemetry.tally()).sampled

        return SelfConfig(
            self._config.data_dir,
            in_force=self._config.remote,
            attempt=lambda settings: load_config(self._config.path, remote=settings),
            facts=engine.caretaker.facts,
            readings=readings,
            leave=self._leaving.set,
            polls=any(device.profile.polled for device in self._config.devices),
        )

    def _findings(self) -> str:
        """Examine the box as a technician does."""
        # Only whoever is asked for a support bundle pays for the examination.
        from agent.core.doctor import render  # noqa: PLC0415
        from agent.services.doctor import Box, examine  # noqa: PLC0415

        config = self._config
        box = Box(
            data_dir=config.data_dir,
            runtime_dir=config.runtime_dir,
            buses=config.buses,
            devices=config.devices,
            budget=config.uplink.budget,
            endpoint=config.uplink.endpoint,
        )
        return render(list(examine(box)))

    def _make_sticks(
        self,
        line: Line,
        file: JobsFile,
        telemetry: TelemetryStore,
        bells: tuple[Callable[[], None], ...],
    ) -> StickDoor:
        def ordered() -> None:
            for bell in bells:
                bell()

        carrier = make_carrier(
            guard=line.guard,
            signer=line.joined.key,
            file=file,
            telemetry=telemetry,
            devices=self._config.devices,
            clock=self._clock,
            calendar=self._calendar,
            ordered=ordered,
        )
        carrier.shelf = stick_shelf(self._config.data_dir, file, self._clock)
        return StickDoor(carrier)

    def _keeper(self, telemetry: TelemetryStore) -> Keeper:
        uplink = self._line.uplink if self._line else None

        async def weigh() -> None:
            # What a start and a contact run through is not what polling needs.
            hand_back_code()
            if uplink is not None and self._config.uplink.metered:
                uplink.weigh(await telemetry.backlog_bytes())

        settings = self._config.telemetry
        return Keeper(
            telemetry,
            commit_interval_ms=settings.commit_interval_ms,
            budget_bytes=settings.disk_write_budget_bytes,
            then=weigh,
        )

    def _images(self) -> Mapping[DeviceId, Progress]:
        found = ((device, transfer_of(driver)) for device, (_, driver) in self._devices.items())
        return {device: one for device, one in found if one is not None}

    def _bus_task(self, bus: Bus, telemetry: TelemetryStore, urgency: Urgency) -> BusTask:
        groups = self._table.on_bus(bus.settings.name)
        drivers = {device: driver for device, (_, driver) in self._devices.items()}
        load = next(one for one in self._config.loads if one.bus == bus.settings.name)
        task = BusTask(
            bus,
            drivers,
            groups,
            telemetry=telemetry,
            clock=self._clock,
            load=load,
            hurry=urgency.note,
            observe=self._observe,
        )
        polled = {group.device for group in groups}
        task.unpolled = {
            device.id: device.address
            for device in self._config.devices
            if device.bus == bus.settings.name and device.id not in polled
        }
        return task

    def _say_hello(self, joined: Joined | None, trouble: str) -> None:
        _log.event(
            "agent_started",
            agent=joined.enrolment.agent if joined else None,
            coordinator=joined.enrolment.url if joined else None,
            buses=len(self._buses),
            devices=len(self._devices),
            channels=len(self._table.schema.channels),
        )
        if trouble:
            _log.event("enrolment_unusable", level=logging.ERROR, cause=trouble)
        elif joined is None:
            _log.event("not_enrolled", mend="outstation-agent enroll, then start the agent again")


def _make_directory(path: Path) -> None:
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise MistakeError(
            f"cannot be made ({error.strerror})", where=str(path), mend="see [agent] data_dir"
        ) from error
