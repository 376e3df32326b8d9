"""The composition root of the agent: the only place that names concrete classes.

Owns what is made of what, in which order it starts, and in which order it stops: first the work,
then the readings are sealed, then one last contact, then the files. Leaves out the command line
(`agent.__main__`).
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import tzinfo
from functools import partial
from pathlib import Path

from agent.actions.registry import check_step
from agent.buses.factory import open_bus
from agent.config import AgentConfig
from agent.config_uplink import zone_of
from agent.core.contact import Identity
from agent.core.device import DeviceSettings
from agent.core.executor import Claim
from agent.core.ports import Bus, Driver
from agent.core.queue import Problem, plan_job
from agent.core.sampler import ChannelTable, channel_table
from agent.drivers.registry import make_driver
from agent.engine import Engine, Site, make_engine
from agent.services.ask import socket_path
from agent.services.bus_tasks import BusTask, Observer
from agent.services.calendar import Calendar
from agent.services.contact_http import HttpLink
from agent.services.control import Control, Talk
from agent.services.discovery import look
from agent.services.flash import look_at_flash
from agent.services.guard import Guard
from agent.services.http_connection import Endpoint, parse_url
from agent.services.identity import (
    ENROLMENT_NAME,
    AgentKey,
    Enrolment,
    find_certificate,
    load_enrolment,
)
from agent.services.keeper import Keeper
from agent.services.membership import Member, MemberContact, Speaker, commands_of
from agent.services.purse import Purse
from agent.services.roving import RovingLink
from agent.services.status import LiveStatus, troubled_services
from agent.services.stick_door import StickDoor
from agent.services.uplink import Hours, Uplink
from agent.services.urgency import Urgency
from agent.sticks import make_carrier
from agent.store.contact import ContactStore
from agent.store.jobs import JobStore
from agent.store.jobs_file import JobsFile
from agent.store.telemetry import TelemetryStore
from shared.errors import MistakeError, Reason, WorldError
from shared.ids import DeviceId
from shared.model.job import Value
from shared.runtime.clock import SystemClock, SystemEntropy
from shared.runtime.files import free_mb, lock_directory
from shared.runtime.logs import Events
from shared.runtime.memory import hand_back_code
from shared.runtime.service import Service, Supervisor

FAREWELL_S = 5
"""For the last contact: service managers kill what has not stopped after some ten seconds."""
_log = Events(__name__)

Devices = Mapping[DeviceId, tuple[DeviceSettings, Driver]]


@dataclass(frozen=True, slots=True)
class _Member:
    """What an enrolled agent needs to speak to its coordinator."""

    enrolment: Enrolment
    identity: Identity
    link: HttpLink | RovingLink
    key: AgentKey


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
        self._uplink: Uplink | None = None
        self._observe: Observer | None = None
        self._purse: Purse | None = None
        self._standing: Member | None = None
        self._key: AgentKey | None = None

    async def run(self) -> int:
        """Work until cancelled; return the exit status.

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
        return 0

    async def _work(self, telemetry: TelemetryStore, file: JobsFile) -> None:
        member, trouble = self._member()
        jobs, exchange = JobStore(file), ContactStore(file)
        work: list[Service] = []
        talks: dict[str, Talk] = {}
        guard: Guard | None = None
        if member:
            guard = await self._make_guard(member, exchange)
            # Nothing runs for a box that does not know whom to trust.
            engine = self._make_engine(member, file, guard)
            self._uplink = self._make_uplink(
                member, guard, exchange, jobs, telemetry, ordered=engine.wake
            )
            work = [self._uplink, *engine.services, guard]
            sticks = self._make_sticks(guard, file, telemetry, engine.wake)
            talks = {"export": sticks.export, "import": sticks.take, **engine.talks}
            self._observe = engine.standing.observe
        urgency = Urgency(telemetry, clock=self._clock, nudge=self._alarm)
        polls = [
            (bus.settings, self._bus_task(bus, telemetry, urgency)) for bus in self._buses.values()
        ]
        live = LiveStatus(
            enrolment=member.enrolment if member else None,
            telemetry=telemetry,
            jobs=jobs,
            contact=exchange,
            uplink=self._uplink,
            buses=polls,
            clock=self._clock,
        )
        path = socket_path(self._config.runtime_dir, self._config.data_dir)
        services: list[Service] = [
            *work,
            self._keeper(telemetry),
            urgency,
            *(task for _, task in polls),
            Control(path, {"status": live.gather, **commands_of(self._standing)}, talks),
        ]
        supervisor = Supervisor(services, clock=self._clock, entropy=self._entropy)

        def troubles() -> dict[str, str]:
            kept = telemetry.status
            told = {"enrolment": trouble, "readings": kept.trouble, "journal": kept.journal}
            told |= {"jobs": file.trouble, "trust": guard.trouble if guard else ""}
            told["member"] = self._standing.trouble if self._standing else ""
            told |= troubled_services(supervisor.health)
            return {part: what for part, what in told.items() if what}

        live.troubles = troubles
        live.calendar = self._calendar
        live.purse = self._purse
        began_ms = self._clock.mono_ms()
        live.flash = lambda: look_at_flash(self._config.data_dir, self._clock.mono_ms() - began_ms)
        self._say_hello(member, trouble)
        try:
            async with supervisor:
                await asyncio.Event().wait()
        finally:
            await self._leave(telemetry)

    async def _leave(self, telemetry: TelemetryStore) -> None:
        """Take leave: what was read is sealed, and sent if the link was up."""
        await telemetry.seal()
        if self._uplink is not None:
            await self._uplink.farewell(FAREWELL_S)
        _log.event("agent_stopped")

    def _alarm(self) -> None:
        if self._uplink is not None:
            self._uplink.nudge(urgent=True)

    def _nudge(self) -> None:
        if self._uplink is not None:
            self._uplink.nudge()

    def _member(self) -> tuple[_Member | None, str]:
        """Return the membership, or why there is none: damage keeps nobody from acquiring."""
        data_dir = self._config.data_dir
        where = str(data_dir / ENROLMENT_NAME)
        try:
            enrolment = load_enrolment(data_dir)
            if enrolment is None:
                return None, ""
            endpoint = parse_url(enrolment.url, where=where)
            link = self._make_link(endpoint, enrolment, where)
            if certificate := find_certificate(data_dir):
                link.present(certificate)
            key = self._key = AgentKey.load(data_dir)
            return _Member(enrolment, enrolment.identity(key), link, key), ""
        except MistakeError as error:
            return None, str(error)

    def _make_link(
        self, endpoint: Endpoint, enrolment: Enrolment, where: str
    ) -> HttpLink | RovingLink:
        if not self._config.uplink.discover:
            return HttpLink(endpoint, ca_pem=enrolment.ca_pem, where=where)
        find = partial(look, enrolment.root.fleet)
        return RovingLink(
            endpoint, ca_pem=enrolment.ca_pem, where=where, find=find, clock=self._clock
        )

    async def _make_guard(self, member: _Member, exchange: ContactStore) -> Guard:
        guard = Guard(member.identity, exchange, clock=self._clock, calendar=self._calendar)
        with contextlib.suppress(WorldError):  # the first contact that can read it loads it
            await guard.load()
        return guard

    def _make_engine(self, member: _Member, file: JobsFile, guard: Guard) -> Engine:
        uplink = self._config.uplink
        site = Site(
            agent=member.enrolment.agent,
            data_dir=self._config.data_dir,
            zone=uplink.time_zone,
            metered=uplink.metered,
            link=self._link_facts,
        )
        return make_engine(
            file,
            self._devices,
            site,
            calendar=self._calendar,
            clock=self._clock,
            entropy=self._entropy,
            permits=(partial(self._permit, guard), guard.may_write),
            bells=(self._nudge, self._alarm),
        )

    def _link_facts(self) -> Mapping[str, Value]:
        state = self._uplink.health.state if self._uplink else None
        if state is None or state.answered_ms is None:
            return {}
        silent_ms = self._clock.mono_ms() - state.answered_ms
        return {"link.up": state.failures == 0, "link.silent_s": silent_ms // 1000}

    def _make_uplink(
        self,
        member: _Member,
        guard: Guard,
        exchange: ContactStore,
        jobs: JobStore,
        telemetry: TelemetryStore,
        *,
        ordered: Callable[[], None],
    ) -> Uplink:
        contact = MemberContact(
            self._make_standing(member, guard),
            guard=guard,
            store=exchange,
            jobs=jobs,
            telemetry=telemetry,
            link=member.link,
            plan=partial(plan_job, devices=self._config.devices, check=check_step),
            clock=self._clock,
            calendar=self._calendar,
        )
        settings = self._config.uplink
        zone = zone_of(settings.time_zone)
        self._purse = contact.purse = Purse(
            settings.budget, clock=self._clock, calendar=self._calendar, zone=zone
        )
        contact.free_mb = partial(free_mb, self._config.data_dir)
        return Uplink(
            contact,
            member.link,
            settings,
            clock=self._clock,
            entropy=self._entropy,
            ordered=ordered,
            purse=contact.purse,
            hours=self._hours(zone),
        )

    def _hours(self, zone: tzinfo) -> Hours | None:
        window = self._config.uplink.window
        if window is None:
            return None
        # A link without hours need not carry what reads them.
        from agent.services.hours import WindowHours  # noqa: PLC0415

        return WindowHours(
            window, zone, clock=self._clock, calendar=self._calendar, entropy=self._entropy
        )

    def _make_sticks(
        self, guard: Guard, file: JobsFile, telemetry: TelemetryStore, ordered: Callable[[], None]
    ) -> StickDoor:
        assert self._key is not None, "only a member has a guard"
        carrier = make_carrier(
            guard=guard,
            signer=self._key,
            file=file,
            telemetry=telemetry,
            devices=self._config.devices,
            clock=self._clock,
            calendar=self._calendar,
            ordered=ordered,
        )
        return StickDoor(carrier)

    def _make_standing(self, member: _Member, guard: Guard) -> Member:
        self._standing = Member(
            guard,
            Speaker(
                enrolment=member.enrolment,
                key=member.key,
                root=lambda: guard.root,
                door=member.link,
            ),
            self._config.data_dir,
            labels=self._config.labels,
            clock=self._clock,
            entropy=self._entropy,
            present=self._calendar.present,
            nudge=self._nudge,
        )
        return self._standing

    async def _permit(self, guard: Guard, claim: Claim, profile: bytes | None) -> Problem | None:
        """Return why an attempt may not begin now: nothing runs for a fleet that was left."""
        if self._standing is not None and not self._standing.may_work:
            return Problem(Reason.DECOMMISSIONED, "this agent was told to leave")
        return await guard.permit(claim, profile)

    def _keeper(self, telemetry: TelemetryStore) -> Keeper:
        uplink = self._uplink

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

    def _bus_task(self, bus: Bus, telemetry: TelemetryStore, urgency: Urgency) -> BusTask:
        groups = self._table.on_bus(bus.settings.name)
        drivers = {device: driver for device, (_, driver) in self._devices.items()}
        load = next(one for one in self._config.loads if one.bus == bus.settings.name)
        return BusTask(
            bus,
            drivers,
            groups,
            telemetry=telemetry,
            clock=self._clock,
            load=load,
            hurry=urgency.note,
            observe=self._observe,
        )

    def _say_hello(self, member: _Member | None, trouble: str) -> None:
        _log.event(
            "agent_started",
            agent=member.enrolment.agent if member else None,
            coordinator=member.enrolment.url if member else None,
            buses=len(self._buses),
            devices=len(self._devices),
            channels=len(self._table.schema.channels),
        )
        if trouble:
            _log.event("enrolment_unusable", level=logging.ERROR, cause=trouble)
        elif member is None:
            _log.event("not_enrolled", mend="outstation-agent enroll, then start the agent again")


def _make_directory(path: Path) -> None:
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise MistakeError(
            f"cannot be made ({error.strerror})", where=str(path), mend="see [agent] data_dir"
        ) from error
