"""Gathers how an agent is: from its running parts, or from its files when it does not run.

Owns no number of its own. The value and its text stand in `agent.core.status`.
"""

import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TypeVar

from agent.core.budget import BudgetSettings, Spent, permille
from agent.core.contact import Standing
from agent.core.device import DeviceSettings
from agent.core.health import Silence
from agent.core.ladder import rung_of
from agent.core.ports import BusSettings, Depth, TelemetryPort
from agent.core.status import (
    BudgetStatus,
    BusStatus,
    ClockStatus,
    DeviceStatus,
    FilesStatus,
    FlashStatus,
    LinkStatus,
    QueueStatus,
    Status,
    WaitingStatus,
    tally_members,
)
from agent.services.bus_tasks import BusTask, DeviceHealth
from agent.services.calendar import Calendar
from agent.services.identity import Enrolment
from agent.services.purse import Purse
from agent.services.uplink import Uplink
from agent.store.account import load_state
from agent.store.contact import ContactStore, read_standing
from agent.store.depth import depths
from agent.store.jobs import JobStore, QueueCounts, count_queue
from agent.store.jobs_file import NAME as JOBS_NAME
from agent.store.jobs_file import jobs_schema
from agent.store.telemetry import FILE_NAME as TELEMETRY_NAME
from agent.store.telemetry_file import SCHEMA as TELEMETRY_SCHEMA
from shared import limits
from shared.clock import Clock, MonoMs, WallMs
from shared.errors import MistakeError, WorldError
from shared.ids import DeviceId
from shared.runtime.files import lock_directory
from shared.runtime.migrations import admit
from shared.runtime.service import Health, State
from shared.wire.messages import Tally

T = TypeVar("T")
_POLLS = 2
"""Failed in a row, after which a device is asked more rarely, too (`agent.core.sampler`)."""
ROUTINE = limits.BLOCK_PRIORITIES - 1
"""The priority of readings that wait for a contact."""


class LiveStatus:
    """How a running agent is."""

    def __init__(
        self,
        *,
        enrolment: Enrolment | None,
        telemetry: TelemetryPort,
        jobs: JobStore,
        contact: ContactStore,
        uplink: Uplink | None,
        buses: Sequence[tuple[BusSettings, BusTask]],
        clock: Clock,
    ) -> None:
        self._enrolment, self._telemetry, self._jobs = enrolment, telemetry, jobs
        self._contact, self._uplink, self._buses = contact, uplink, buses
        self._clock, self._began_ms = clock, clock.mono_ms()
        self.troubles: Callable[[], Mapping[str, str]] = dict
        """What other parts have to say; set by whoever knows them."""
        self.flash: Callable[[], FlashStatus | None] = lambda: None
        """What the store costs its disk; set by whoever counts it."""
        self.files: Callable[[], FilesStatus] = FilesStatus
        """Where files came from; set by whoever fetches them."""
        self.calendar: Calendar | None = None
        """The agent's date, once somebody has told it."""
        self.purse: Purse | None = None
        """What the link may cost."""

    async def gather(self) -> Status:
        """Return how everything is now."""
        now_ms = self._clock.mono_ms()
        counted = await self._telemetry.tally()
        waiting = _waiting(await self._telemetry.depths(), counted, self._clock.wall_ms())
        tally, balanced = tally_members(counted)
        troubles = dict(self.troubles())
        standing, counts = None, QueueCounts()
        try:
            standing, counts = await self._contact.standing(), await self._jobs.counts()
        except WorldError as error:
            troubles["jobs"] = str(error)
        return Status(
            running=True,
            enrolled=self._enrolment is not None,
            agent=self._enrolment.agent if self._enrolment else "",
            fleet=self._enrolment.root.fleet.hex() if self._enrolment else "",
            coordinator=self._enrolment.url if self._enrolment else "",
            uptime_s=(now_ms - self._began_ms) // 1000,
            tally=tally,
            balanced=balanced,
            waiting=waiting,
            budget=self._budget(standing),
            clock=self._state_of_clock(),
            flash=self.flash(),
            link=self._link(standing, now_ms),
            buses=[
                _bus(settings, task, lived_ms=now_ms - self._began_ms)
                for settings, task in self._buses
            ],
            devices=[row for _, task in self._buses for row in _devices(task, now_ms)],
            queue=_queue(counts),
            files=self.files(),
            refusals=dict(standing.refusals) if standing else {},
            troubles=troubles,
        )

    def _budget(self, standing: Standing | None) -> BudgetStatus:
        if self.purse is not None:
            return _spent(self.purse.spent, self.purse.settings)
        return _spent(standing.spent if standing else Spent(), BudgetSettings())

    def _state_of_clock(self) -> ClockStatus:
        now = self._clock.now()
        true_ms = self.calendar.present() if self.calendar else None
        return ClockStatus(
            state=now.state.name.lower(),
            err_ms=now.err_ms,
            off_ms=None if true_ms is None else now.wall_ms - true_ms,
        )

    def _link(self, standing: Standing | None, now_ms: MonoMs) -> LinkStatus:
        health = self._uplink.health if self._uplink else None
        state = health.state if health else None
        if health is None or state is None:
            return _stored_link(standing)
        fault = state.fault
        since = None if state.answered_ms is None else (now_ms - state.answered_ms) // 1000
        waits = not health.in_contact
        return LinkStatus(
            fault=fault.fault.name.lower() if fault else "",
            detail=fault.detail if fault else "",
            failures=state.failures,
            contacts=health.contacts,
            last_contact=_time(standing.answered_ms) if standing else "",
            since_contact_s=since,
            next_in_s=max(0, health.next_ms - now_ms) // 1000 if waits else None,
            bytes_up=standing.bytes_up if standing else 0,
            bytes_down=standing.bytes_down if standing else 0,
        )


def troubled_services(health: Mapping[str, Health]) -> dict[str, str]:
    """Return what is wrong with services, by name."""
    return {
        name: f"crashed {one.crashes} times, last: {one.last_error}"
        for name, one in health.items()
        if one.state is State.WAITING or one.failures_in_row
    }


def status_at_rest(
    data_dir: Path,
    enrolment: Enrolment | None,
    devices: Sequence[DeviceSettings],
    budget: BudgetSettings | None = None,
) -> Status:
    """Return how an agent that does not run left its files.

    Raises:
        MistakeError: it runs after all, or the directory cannot be used.
    """
    troubles: dict[str, str] = {}
    state, standing, counts, deep = None, None, None, None
    if data_dir.exists():
        with lock_directory(data_dir):
            readings, jobs = data_dir / TELEMETRY_NAME, data_dir / JOBS_NAME
            for path, schema in ((readings, TELEMETRY_SCHEMA), (jobs, jobs_schema())):
                _read(path, partial(admit, schema=schema, where=""), troubles)
            state = _read(readings, load_state, troubles)
            deep = _read(readings, depths, troubles)
            standing = _read(jobs, read_standing, troubles)
            counts = _read(jobs, count_queue, troubles)
    counted = state.tally if state else Tally(0, 0, 0, 0, 0)
    tally, balanced = tally_members(counted)
    return Status(
        running=False,
        enrolled=enrolment is not None,
        agent=enrolment.agent if enrolment else "",
        fleet=enrolment.root.fleet.hex() if enrolment else "",
        coordinator=enrolment.url if enrolment else "",
        tally=tally,
        balanced=balanced,
        waiting=_waiting(deep or [], counted, int(time.time() * 1000)),
        budget=_spent(standing.spent if standing else Spent(), budget or BudgetSettings()),
        link=_stored_link(standing),
        devices=[DeviceStatus(id=device.id, bus=device.bus) for device in devices],
        queue=_queue(counts or QueueCounts()),
        refusals=dict(standing.refusals) if standing else {},
        troubles=troubles,
    )


def _read(
    path: Path, query: Callable[[sqlite3.Connection], T], troubles: dict[str, str]
) -> T | None:
    """Read a database whose owner does not run; whatever is wrong with it is only told."""
    if not path.exists():
        return None
    try:
        with closing(sqlite3.connect(path, isolation_level=None)) as db:
            # A log left by a kill needs no -shm file of its own then.
            db.execute("PRAGMA locking_mode = exclusive")
            db.execute("PRAGMA query_only = 1")
            return query(db)
    except (sqlite3.Error, TypeError, MistakeError) as error:
        # The first look says most: what a newer program made may be read all the same.
        troubles.setdefault(path.name, str(error))
        return None


def _waiting(found: Sequence[Depth], counted: Tally, wall_ms: int) -> list[WaitingStatus]:
    """Return what waits: blocks as they are, and what is open with the routine ones."""
    rows = [
        WaitingStatus(
            priority=one.priority,
            readings=one.readings,
            oldest_s=max(0, wall_ms - one.oldest_ms) // 1000,
        )
        for one in found
        if one.priority < ROUTINE
    ]
    routine = counted.stored - sum(row.readings for row in rows)
    if routine > 0:
        oldest_ms = next((one.oldest_ms for one in found if one.priority >= ROUTINE), wall_ms)
        age_s = max(0, wall_ms - oldest_ms) // 1000
        rows.append(WaitingStatus(priority=ROUTINE, readings=routine, oldest_s=age_s))
    return rows


def _spent(spent: Spent, settings: BudgetSettings) -> BudgetStatus:
    return BudgetStatus(
        today=spent.day_bytes,
        month=spent.month_bytes,
        day_limit=settings.day_bytes,
        month_limit=settings.month_bytes,
        rung=rung_of(permille(spent, settings)).name.lower(),
    )


def _bus(settings: BusSettings, task: BusTask, *, lived_ms: int) -> BusStatus:
    health = task.health
    counters = health.counters
    return BusStatus(
        name=settings.name,
        url=settings.url,
        up=counters.up,
        problem="" if counters.up else counters.last_error,
        requests=counters.requests,
        answers=counters.answers,
        timeouts=counters.timeouts,
        bad_frames=counters.bad_frames,
        reconnects=counters.reconnects,
        busy_ms=counters.busy_ms,
        busy_permille=min(1000, counters.busy_ms * 1000 // max(1, lived_ms)),
        planned_permille=round(health.load.share * 1000) if health.load else 0,
        late_polls=health.coalesced,
    )


def _devices(task: BusTask, now_ms: MonoMs) -> list[DeviceStatus]:
    health = task.health
    return [_device(health.name, device, one, now_ms) for device, one in health.devices.items()]


def silence_of(tasks: Iterable[BusTask], now_ms: MonoMs) -> Silence:
    """Return who has not answered several polls in a row: one that is lost is nobody's news."""
    polled = {
        device: one for task in tasks for device, one in task.health.devices.items() if one.polled
    }
    unheard = {device for device, one in polled.items() if not one.answered}
    silent = {
        device: one.heard_ms
        for device, one in polled.items()
        if one.failures >= _POLLS and one.heard_ms is not None
    }
    return Silence(
        silent,
        unheard=frozenset(unheard & silent.keys()),
        unsure=not unheard <= silent.keys(),
        now_ms=now_ms,
    )


def _device(bus: str, device: DeviceId, health: DeviceHealth, now_ms: MonoMs) -> DeviceStatus:
    usual = health.exchanges.usual_ms
    heard_ms = health.heard_ms if health.failures else None
    return DeviceStatus(
        id=device,
        bus=bus,
        polls=health.polls,
        failed=health.failures,
        silent_s=None if heard_ms is None else (now_ms - heard_ms) // 1000,
        problem=health.problem,
        standing=health.standing.name.lower() if health.polled else "unpolled",
        requests=health.exchanges.requests,
        answers=health.exchanges.answers,
        timeouts=health.exchanges.timeouts,
        bad_frames=health.exchanges.bad_frames,
        usual_ms=None if usual is None else round(usual),
        firmware_bytes=None if health.transfer is None else health.transfer.done,
        firmware_size=None if health.transfer is None else health.transfer.size,
    )


def _queue(counts: QueueCounts) -> QueueStatus:
    return QueueStatus(
        tasks={state.name: count for state, count in counts.tasks.items()},
        executions={state.name: count for state, count in counts.executions.items()},
        receipts=counts.receipts,
    )


def _stored_link(standing: Standing | None) -> LinkStatus:
    if standing is None:
        return LinkStatus()
    return LinkStatus(
        last_contact=_time(standing.answered_ms),
        bytes_up=standing.bytes_up,
        bytes_down=standing.bytes_down,
    )


def _time(at_ms: WallMs | None) -> str:
    if at_ms is None:
        return ""
    moment = datetime.fromtimestamp(at_ms / 1000, UTC)
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
