"""An agent's uplink over real files, and a line to a coordinator by the rules."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from agent.actions.registry import check_step
from agent.core.contact import Identity
from agent.core.ports import PollRow
from agent.core.queue import plan_job
from agent.core.sampler import channel_table
from agent.core.settings import TelemetrySettings, UplinkSettings
from agent.core.uplink import Delivered, Fault, LinkFailed
from agent.services.calendar import Calendar
from agent.services.contact import Contact
from agent.services.guard import Guard
from agent.services.purse import Purse
from agent.services.uplink import Uplink
from agent.store.contact import ContactStore
from agent.store.jobs import JobStore
from agent.store.jobs_file import JobsFile, begin_counters
from agent.store.telemetry import TelemetryStore
from shared.clock import WallMs
from shared.model.judging import ROUTINE
from shared.model.reading import Quality
from shared.sync.body import decode_body
from shared.trust.counters import Counters
from shared.trust.documents import Report, open_report
from shared.trust.floor import first_floor
from shared.trust.keyset import counted
from tests.agent_coordinator import Brain
from tests.agent_parts import device
from tests.simulation.loop import World, simulate
from tests.unit.trust_world import signer

PUMPS = [device("pump-1")]


TABLE = channel_table(PUMPS)


MINUTE = UplinkSettings(sync_interval_ms=60_000)


POLLING = UplinkSettings(sync_interval_ms=600_000, long_poll=True)


@dataclass
class Line:
    """A way to a coordinator by the rules; holds empty answers back as one would."""

    brain: Brain
    world: World
    down: LinkFailed | None = None
    dead: bool = False
    """Requests vanish: nothing ever comes back."""
    alter: Callable[[bytes], bytes] = lambda answer: answer
    calls: list[tuple[float, int, Report]] = field(default_factory=list)
    """When, with which wait, and what each contact said."""
    kept: list[bool] = field(default_factory=list)
    closed_after: list[int] = field(default_factory=list)
    """How many contacts there had been whenever the connection was closed."""
    _broken: asyncio.Event = field(default_factory=asyncio.Event)

    async def exchange(self, body: bytes, *, wait_s: int, keep: bool) -> Delivered | LinkFailed:
        self._broken.clear()
        report = open_report(decode_body(body, bound=len(body))[0].data, self.key)
        self.calls.append((self.world.loop.time(), wait_s, report))
        self.kept.append(keep)
        await asyncio.sleep(0.05)
        if self.dead:
            await self._broken.wait()
        if self.down is not None:
            return self.down
        answer = self.brain.answer(body, self.world.clock.wall_ms())
        if wait_s and len(decode_body(answer, bound=len(answer))) == 1:
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._broken.wait()
                    return LinkFailed(fault=Fault.ABORTED)
        return Delivered(body=self.alter(answer), up=len(body), down=len(answer))

    @property
    def key(self) -> bytes:
        return self.brain.world.agent.public_key

    def abort(self) -> None:
        self._broken.set()

    async def close(self) -> None:
        """Hold nothing open."""
        self.closed_after.append(len(self.calls))

    def times(self) -> list[int]:
        return [round(at) for at, _, _ in self.calls]


@dataclass
class Box:
    """An agent's uplink over real files."""

    world: World
    folder: Path
    settings: UplinkSettings
    ordered: int = 0

    async def open(self) -> "Box":
        clock, entropy = self.world.clock, self.world.entropy
        self.brain = Brain()
        self.line = Line(self.brain, self.world)
        begin_counters(self.folder, Counters(epoch=1, root_version=1))
        self.file = await JobsFile(self.folder, entropy).open()
        self.telemetry = await TelemetryStore.open(
            self.folder, self.folder, TABLE, TelemetrySettings(), clock=clock, entropy=entropy
        )
        self.calendar = Calendar(clock)
        self.store, self.jobs = ContactStore(self.file), JobStore(self.file)
        fleet = self.brain.world
        await self.store.keep_trust(
            fleet.trust,
            counted(fleet.trust, Counters(epoch=1, root_version=1)),
            first_floor(fleet.root, build_ms=WallMs(0), at=clock.now()),
            recovered=False,
        )
        self._connect()
        return self

    async def change_key(self) -> None:
        """Begin again as after a start with another key, which the coordinator knows alone."""
        await self.stop()
        self.brain.world.agent = signer("another")
        self._connect()

    def _connect(self) -> None:
        clock, fleet = self.world.clock, self.brain.world
        identity = Identity(fleet.name, fleet.root, fleet.trust.root_envelope, fleet.agent)
        self.guard = Guard(identity, self.store, clock=clock, calendar=self.calendar)
        contact = Contact(
            guard=self.guard,
            store=self.store,
            jobs=self.jobs,
            telemetry=self.telemetry,
            link=self.line,
            plan=partial(plan_job, devices=PUMPS, check=check_step),
            clock=clock,
            calendar=self.calendar,
        )
        self.purse = contact.purse = Purse(
            self.settings.budget, clock=clock, calendar=self.calendar
        )
        self.uplink = Uplink(
            contact,
            self.line,
            self.settings,
            clock=clock,
            entropy=self.world.entropy,
            ordered=self.order,
            purse=self.purse,
        )
        self.task = asyncio.create_task(self.uplink.run())

    def order(self) -> None:
        self.ordered += 1

    async def poll(self, *, priority: int = ROUTINE) -> None:
        (group,) = TABLE.groups
        row = PollRow(
            channels=group.channels,
            at=self.world.clock.now(),
            values=[1] * len(group.channels),
            qualities=[Quality.GOOD] * len(group.channels),
            priority=priority,
        )
        await self.telemetry.record(row)

    async def stop(self) -> None:
        self.task.cancel()
        with suppress(asyncio.CancelledError):
            await self.task

    async def close(self) -> None:
        await self.stop()
        await self.telemetry.close()
        await self.file.close()


def play(folder: Path, scenario: Any, settings: UplinkSettings = MINUTE) -> Any:
    async def run(world: World) -> Any:
        box = await Box(world, folder, settings).open()
        try:
            return await scenario(box)
        finally:
            await box.close()

    return simulate(run, seed=3)
