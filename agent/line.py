"""The way to the coordinator, composed: whom the agent trusts, what it says, what that may cost.

Beside `agent.app`, `agent.engine` and `agent.sticks` the fourth place that names concrete classes.
A box that belongs to no fleet has no line, and acquires all the same.
"""

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import tzinfo
from functools import partial
from typing import TYPE_CHECKING

from agent.actions.registry import check_step
from agent.config import AgentConfig
from agent.config_uplink import zone_of
from agent.core.contact import Identity
from agent.core.executor import Claim
from agent.core.health import ALL_ANSWER, Moving, Silence
from agent.core.progress import Progress
from agent.core.queue import Problem, plan_job
from agent.core.status import FilesStatus
from agent.services.artifacts import Artifacts
from agent.services.artifacts_line import Coordinator, Lane, LineGate, PoliteContact
from agent.services.calendar import Calendar
from agent.services.contact_http import HttpLink
from agent.services.discovery import look
from agent.services.endpoint import parse_url
from agent.services.guard import Guard
from agent.services.identity import (
    ENROLMENT_NAME,
    AgentKey,
    Enrolment,
    find_certificate,
    load_enrolment,
)
from agent.services.membership import Member
from agent.services.purse import Purse
from agent.services.roving import RovingLink
from agent.services.speaker import Speaker
from agent.services.uplink import Hours, Uplink
from agent.store.artifacts import Shelf
from agent.store.contact import ContactStore
from agent.store.jobs import JobStore
from agent.store.jobs_file import JobsFile
from agent.store.needed import NeededFiles
from agent.store.telemetry import TelemetryStore
from shared.clock import Clock, Entropy
from shared.errors import MistakeError, Reason, WorldError
from shared.ids import DeviceId
from shared.model.job import Value
from shared.runtime.files import free_mb

if TYPE_CHECKING:
    from agent.services.sharing import Sharing


@dataclass(frozen=True, slots=True)
class Joined:
    """What an enrolled agent needs to speak to its coordinator."""

    enrolment: Enrolment
    identity: Identity
    link: HttpLink | RovingLink
    key: AgentKey


@dataclass(frozen=True, slots=True)
class Around:
    """What every part of an agent goes by."""

    config: AgentConfig
    clock: Clock
    calendar: Calendar
    entropy: Entropy


def find_joined(around: Around) -> tuple[Joined | None, str]:
    """Return the membership, or why there is none: damage keeps nobody from acquiring."""
    config = around.config
    where = str(config.data_dir / ENROLMENT_NAME)
    try:
        enrolment = load_enrolment(config.data_dir)
        if enrolment is None:
            return None, ""
        link = _make_link(around, enrolment, where)
        if certificate := find_certificate(config.data_dir):
            link.present(certificate)
        key = AgentKey.load(config.data_dir)
        return Joined(enrolment, enrolment.identity(key), link, key), ""
    except MistakeError as error:
        return None, str(error)


class Line:
    """One agent's way to its coordinator; `connect` makes it whole."""

    def __init__(self, around: Around, joined: Joined, exchange: ContactStore) -> None:
        self._around, self._exchange = around, exchange
        self.joined = joined
        self.guard = Guard(joined.identity, exchange, clock=around.clock, calendar=around.calendar)
        self.standing = self._make_standing()
        self._lane = Lane()
        self.uplink: Uplink | None = None
        self.purse: Purse | None = None
        self.sharing: Sharing | None = None
        self._artifacts: Artifacts | None = None
        self.silence: Callable[[], Silence] = lambda: ALL_ANSWER
        """Devices that do not answer; set by whoever polls them."""
        self.images: Callable[[], Mapping[DeviceId, Progress]] = dict
        """Firmware on its way into devices; set by whoever knows them."""

    async def prepare(self) -> None:
        """Load what orders are judged by; the first contact does it where the disk refuses now."""
        with contextlib.suppress(WorldError):
            await self.guard.load()

    def connect(
        self, jobs: JobStore, telemetry: TelemetryStore, *, ordered: Callable[[], None]
    ) -> Uplink:
        """Return the service that makes contacts; `ordered` is called when one brought work."""
        around, settings = self._around, self._around.config.uplink
        contact = PoliteContact(
            self.standing,
            self._lane,
            guard=self.guard,
            store=self._exchange,
            jobs=jobs,
            telemetry=telemetry,
            link=self.joined.link,
            plan=partial(plan_job, devices=around.config.devices, check=check_step),
            clock=around.clock,
            calendar=around.calendar,
        )
        zone = zone_of(settings.time_zone)
        self.purse = contact.purse = Purse(
            settings.budget, clock=around.clock, calendar=around.calendar, zone=zone
        )
        contact.free_mb = partial(free_mb, around.config.data_dir)
        contact.moving, contact.silence = self._moving, self._silence
        self.uplink = Uplink(
            contact,
            self.joined.link,
            settings,
            clock=around.clock,
            entropy=around.entropy,
            ordered=ordered,
            purse=contact.purse,
            hours=self._hours(zone),
        )
        return self.uplink

    def fetching(self, file: JobsFile) -> Artifacts:
        """Return the service that fetches the files that orders in `file` name."""
        around, joined = self._around, self.joined
        assert self.purse is not None, "connect() comes first"
        shelf = Shelf(around.config.data_dir, around.clock.now().boot_id)
        artifacts = Artifacts(
            shelf,
            Coordinator(joined.link, joined.identity, joined.key, around.calendar),
            LineGate(
                lane=self._lane,
                purse=self.purse,
                hours=self._hours(zone_of(around.config.uplink.time_zone)),
                calendar=around.calendar,
                clock=around.clock,
                store=self._exchange,
            ),
            needed=NeededFiles(file).all,
            clock=around.clock,
            entropy=around.entropy,
        )
        self._lane.freed = artifacts.wake
        self._share(artifacts, shelf)
        self._artifacts = artifacts
        return artifacts

    def files(self) -> FilesStatus:
        """Return where files came from since the start."""
        if self._artifacts is None:
            return FilesStatus()
        return FilesStatus(
            from_coordinator=self._artifacts.pulled,
            from_neighbours=self._artifacts.taken,
            given=self.sharing.given if self.sharing else 0,
            neighbours=len(self.sharing.places) if self.sharing else 0,
            waiting=self._artifacts.waiting,
            coming_bytes=None if (coming := self._artifacts.coming) is None else coming.done,
            coming_size=None if coming is None else coming.size,
        )

    def _silence(self) -> Silence:
        return self.silence()

    def _moving(self) -> Moving:
        files = self._artifacts
        return Moving(
            files=files.waiting if files else 0,
            file=files.coming if files else None,
            images=self.images(),
        )

    def _share(self, artifacts: Artifacts, shelf: Shelf) -> None:
        """Let a site's gateways have files from each other, where its site is known."""
        around, joined, settings = self._around, self.joined, self._around.config.sharing
        site = joined.enrolment.labels.get("site", "")
        if not settings.allowed or not site:
            return
        # Who shares nothing does not pay for what it takes to share.
        from agent.neighbour_line import share  # noqa: PLC0415

        self.sharing = share(
            artifacts,
            shelf,
            fleet=joined.identity.root.fleet,
            site=site,
            metered=around.config.uplink.metered,
            interfaces=settings.interfaces,
            clock=around.clock,
            entropy=around.entropy,
        )

    def nudge(self) -> None:
        """Have receipts brought with the next contact that may come soon."""
        if self.uplink is not None:
            self.uplink.nudge()

    def alarm(self) -> None:
        """Have something urgent brought at once."""
        if self.uplink is not None:
            self.uplink.nudge(urgent=True)

    def facts(self) -> Mapping[str, Value]:
        """Return what conditions may know of the link."""
        state = self.uplink.health.state if self.uplink else None
        if state is None or state.answered_ms is None:
            return {}
        silent_ms = self._around.clock.mono_ms() - state.answered_ms
        return {"link.up": state.failures == 0, "link.silent_s": silent_ms // 1000}

    async def permit(self, claim: Claim, profile: bytes | None) -> Problem | None:
        """Return why an attempt may not begin now: nothing runs for a fleet that was left."""
        if not self.standing.may_work:
            return Problem(Reason.DECOMMISSIONED, "this agent was told to leave")
        return await self.guard.permit(claim, profile)

    def _make_standing(self) -> Member:
        around, joined, guard = self._around, self.joined, self.guard
        speaker = Speaker(
            enrolment=joined.enrolment, key=joined.key, root=lambda: guard.root, door=joined.link
        )
        return Member(
            guard,
            speaker,
            around.config.data_dir,
            labels=around.config.labels,
            clock=around.clock,
            entropy=around.entropy,
            present=around.calendar.present,
            nudge=self.nudge,
        )

    def _hours(self, zone: tzinfo) -> Hours | None:
        around, window = self._around, self._around.config.uplink.window
        if window is None:
            return None
        # A link without hours need not carry what reads them.
        from agent.services.hours import WindowHours  # noqa: PLC0415

        return WindowHours(
            window, zone, clock=around.clock, calendar=around.calendar, entropy=around.entropy
        )


def _make_link(around: Around, enrolment: Enrolment, where: str) -> HttpLink | RovingLink:
    endpoint = parse_url(around.config.uplink.endpoint or enrolment.url, where=where)
    if not around.config.uplink.discover:
        return HttpLink(endpoint, ca_pem=enrolment.ca_pem, where=where)
    find = partial(look, enrolment.root.fleet)
    return RovingLink(endpoint, ca_pem=enrolment.ca_pem, where=where, find=find, clock=around.clock)
