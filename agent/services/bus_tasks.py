"""One task per port: waits for the next due poll, reads it through its driver, records the row.

Owns the way from a device's readings to a row, and what status says about devices. Nothing here
awaits the network to the coordinator or a disk: the site is polled whatever becomes of both. Leaves
out when a poll is due and how patient to be with the silent (`agent.core.sampler`), and the port
itself (`agent.buses`).
"""

import asyncio
import logging
import math
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from agent.core.firmware import Updatable
from agent.core.judge import Judge, Judged, JudgedPoint
from agent.core.patience import UNKNOWN_MS
from agent.core.ports import (
    Bus,
    BusCounters,
    Driver,
    PointReading,
    PollRow,
    SlaveCounters,
    Urgency,
)
from agent.core.progress import Progress
from agent.core.sampler import PollGroup, Standing, Timetable
from agent.core.utilisation import BusLoad
from shared.clock import Clock, MonoMs, WallMs
from shared.errors import Reason
from shared.ids import DeviceId
from shared.model.reading import Quality
from shared.runtime.logs import Events

_log = Events(__name__)

LAST_POLL_S = 2
"""For the poll in flight when the agent stops: a response timeout and its retry."""
_SILENT = frozenset({Reason.DEVICE_SILENT, Reason.DEVICE_BAD_FRAME})
"""What a device that is off, or not there, gives."""


class Recording(Protocol):
    """Where rows go: the one part of `TelemetryPort` that polling needs."""

    async def record(self, row: PollRow) -> None:
        """Take one poll; when this returns, kill -9 no longer loses it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceHealth:
    """How one device has answered since the agent started."""

    polls: int = 0
    answered: int = 0
    """Polls that brought at least one value, or a refusal: the device is there."""
    failures: int = 0
    """Polls in a row that brought neither."""
    answered_ms: WallMs | None = None
    """When it last answered."""
    heard_ms: MonoMs | None = None
    """The same, on the clock that nobody sets; until it answered, when it was first asked."""
    problem: str = ""
    """Why points of the newest poll have no value."""
    defects: int = 0
    """Polls that ended in an error of ours; the log has them."""
    standing: Standing = Standing.PROBING
    """Whether it is polled as configured, asked rarely, or not known yet."""
    exchanges: SlaveCounters = field(default_factory=SlaveCounters)
    """What the port counted of it: several frames a poll, repeats among them."""
    transfer: Progress | None = None
    """Firmware that is on its way into it."""
    polled: bool = True
    """False: none of its points is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BusHealth:
    """How one port and its devices are."""

    name: str
    counters: BusCounters
    coalesced: int
    """Polls that fell away because the bus was still busy: it cannot keep the configured rate."""
    devices: Mapping[DeviceId, DeviceHealth]
    load: BusLoad | None = None
    """What polling was planned to cost the port; `counters.busy_ms` says what it does cost."""


Observer = Callable[[Judged], None]
"""Is shown every poll as it was judged, before anything of it was held back; it may not wait."""


class BusTask:
    """The service that polls one bus."""

    def __init__(
        self,
        bus: Bus,
        drivers: Mapping[DeviceId, Driver],
        groups: Sequence[PollGroup],
        *,
        telemetry: Recording,
        clock: Clock,
        load: BusLoad | None = None,
        observe: Observer | None = None,
        hurry: Callable[[int, DeviceId], None] | None = None,
    ) -> None:
        """Poll `groups`, all of them on `bus`, each through the driver of its device.

        `hurry` is told the priority of each row once it is recorded.
        """
        assert all(group.bus == bus.settings.name for group in groups), "groups of this bus"
        self._bus, self._drivers, self._groups = bus, drivers, tuple(groups)
        self._telemetry, self._clock, self._load = telemetry, clock, load
        self._timetable = self._new_timetable()
        self._devices = {group.device: DeviceHealth() for group in self._groups}
        self._judges = {group: Judge(group.device, _judged_points(group)) for group in self._groups}
        self._observe, self._hurry = observe, hurry
        self.unpolled: Mapping[DeviceId, int] = {}
        """Addresses of devices here that have no point to poll: only their health is told."""

    @property
    def name(self) -> str:
        """Return what logs and health call it."""
        return f"bus {self._bus.settings.name}"

    @property
    def health(self) -> BusHealth:
        """Return how the port and its devices are now."""
        counters = self._bus.counters
        return BusHealth(
            name=self._bus.settings.name,
            counters=replace(counters, slaves=dict(counters.slaves)),
            coalesced=self._timetable.coalesced,
            devices={group.device: self._health_of(group) for group in self._groups}
            | {device: self._health_unpolled(device) for device in self.unpolled},
            load=self._load,
        )

    def _health_of(self, group: PollGroup) -> DeviceHealth:
        exchanges = self._bus.counters.slaves.get(group.address, SlaveCounters())
        return replace(
            self._devices[group.device],
            transfer=transfer_of(self._drivers.get(group.device)),
            standing=self._timetable.standing(group.device),
            exchanges=replace(exchanges),
        )

    def _health_unpolled(self, device: DeviceId) -> DeviceHealth:
        """Return what jobs and firmware are seen to do with a device that is not polled."""
        exchanges = self._bus.counters.slaves.get(self.unpolled[device], SlaveCounters())
        return DeviceHealth(
            polled=False,
            transfer=transfer_of(self._drivers.get(device)),
            exchanges=replace(exchanges),
        )

    def _new_timetable(self) -> Timetable:
        probe_ms = self._bus.settings.response_timeout_ms or UNKNOWN_MS
        return Timetable(self._groups, now_ms=self._clock.mono_ms(), probe_ms=probe_ms)

    async def run(self) -> None:
        """Poll until cancelled; return at once on a bus without polled points."""
        self._timetable = self._new_timetable()
        try:
            while (due_ms := self._timetable.next_due(self._clock.mono_ms())) is not None:
                await asyncio.sleep(max(0, due_ms - self._clock.mono_ms()) / 1000)
                if group := self._timetable.take(self._clock.mono_ms()):
                    await _to_its_end(self._poll(group))
        finally:
            for judge in self._judges.values():
                for row in judge.finish():
                    await self._telemetry.record(row)

    async def _poll(self, group: PollGroup) -> None:
        """Read one group and record what came, or that nothing came."""
        defect: Exception | None = None
        began_ms = self._clock.mono_ms()
        urgency = Urgency.PROBE if self._timetable.is_probe(group.device) else Urgency.POLL
        try:
            readings = await self._drivers[group.device].read(group.points, urgency=urgency)
        # A border like a supervisor's: a driver that crashes on one device's answers must not
        # stop the polls of its neighbours.
        except Exception as error:  # noqa: BLE001
            defect = error
            readings = [PointReading(point, None, Quality.BAD_COMM) for point in group.points]
        # Taken after the answer: the device may have had to wait for the bus.
        at = self._clock.now()
        believed = [believable(reading) for reading in readings]
        judged, rows = self._judges[group].judge(believed, at)
        self._show(judged)
        for row in rows:
            await self._telemetry.record(row)
            if self._hurry is not None:
                self._hurry(row.priority, group.device)
        self._learn(group.device, believed, defect, began_ms=began_ms, wall_ms=at.wall_ms)

    def _show(self, judged: Judged) -> None:
        """Let rules see a poll; whatever they make of it, it is recorded."""
        if self._observe is None:
            return
        try:
            self._observe(judged)
        except Exception as error:  # noqa: BLE001 - as with a driver: readings go on
            _log.event("observer_failed", level=logging.ERROR, error=error, device=judged.device)

    def _learn(
        self,
        device: DeviceId,
        readings: Sequence[PointReading],
        defect: Exception | None,
        *,
        began_ms: MonoMs,
        wall_ms: WallMs,
    ) -> None:
        """Note how a device answered; one that is silent is soon left alone for a while."""
        before, now_ms = self._devices[device], self._clock.mono_ms()
        faults = [reading.reason for reading in readings if reading.value is None]
        there = defect is None and _is_there(readings)
        if there:
            self._timetable.answered(device, now_ms=now_ms)
        elif defect is None and Reason.BUS_DOWN not in faults:
            # A port that is unplugged says nothing about the device: it must be back at once.
            self._timetable.silent(device, began_ms=began_ms, now_ms=now_ms)
        if defect and not before.problem.startswith(type(defect).__name__):
            _log.event("poll_failed", level=logging.ERROR, error=defect, device=device)
        known = [fault.text for fault in faults if fault]
        self._devices[device] = DeviceHealth(
            polls=before.polls + 1,
            answered=before.answered + there,
            failures=0 if there else before.failures + 1,
            answered_ms=wall_ms if there else before.answered_ms,
            heard_ms=now_ms if there else began_ms if before.heard_ms is None else before.heard_ms,
            problem=f"{type(defect).__name__}: {defect}" if defect else ", ".join(sorted({*known})),
            defects=before.defects + (defect is not None),
        )


def _judged_points(group: PollGroup) -> Sequence[JudgedPoint]:
    if group.judged:
        return group.judged
    names = zip(group.points, group.channels, strict=True)
    return [JudgedPoint(name=name, channel=channel) for name, channel in names]


async def _to_its_end(poll: Coroutine[Any, Any, None]) -> None:
    """Do a poll so that a stop takes effect after it: the device has answered, the row counts.

    A device that says nothing holds up the stop for LAST_POLL_S at most.
    """
    task = asyncio.create_task(poll)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait((task,), timeout=LAST_POLL_S)
        task.cancel()
        await asyncio.wait((task,))
        raise


def believable(reading: PointReading) -> PointReading:
    """Return the reading as it is recorded: every cell has a number or says why it has none."""
    value = reading.value
    if value is None:
        # A cell without value and without fault would read as "was not due", which is not true.
        quality = Quality.BAD_COMM if reading.quality is Quality.GOOD else reading.quality
        return replace(reading, quality=quality)
    if not math.isfinite(value):
        return replace(reading, value=None, quality=Quality.BAD_RANGE)
    return reading


def _is_there(readings: Sequence[PointReading]) -> bool:
    """Tell whether the device answered anything: a value, or a refusal of its own."""
    away = {*_SILENT, Reason.BUS_DOWN, None}
    return any(reading.value is not None or reading.reason not in away for reading in readings)


def transfer_of(driver: object) -> Progress | None:
    """Return how far firmware has come into a device; None: none is on its way."""
    return driver.firmware.transfer if isinstance(driver, Updatable) else None
