"""Gathers how an agent is: from its running parts, or from its files when it does not run.

Owns no number of its own. The value and its text stand in `agent.core.status`.
"""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from agent.core.contact import Standing
from agent.core.device import DeviceSettings
from agent.core.ports import BusSettings, TelemetryPort
from agent.core.status import (
    BusStatus,
    DeviceStatus,
    LinkStatus,
    QueueStatus,
    Status,
    tally_members,
)
from agent.services.bus_tasks import BusTask, DeviceHealth
from agent.services.identity import Enrolment
from agent.services.uplink import Uplink
from agent.store.account import load_state
from agent.store.contact import ContactStore, read_standing
from agent.store.jobs import JobStore, QueueCounts, count_queue
from agent.store.jobs_file import NAME as JOBS_NAME
from agent.store.telemetry import FILE_NAME as TELEMETRY_NAME
from shared.clock import Clock, MonoMs, WallMs
from shared.errors import WorldError
from shared.ids import DeviceId
from shared.runtime.files import lock_directory
from shared.runtime.service import Health, State
from shared.wire.messages import Tally

T = TypeVar("T")


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

    async def gather(self) -> Status:
        """Return how everything is now."""
        now_ms = self._clock.mono_ms()
        tally, balanced = tally_members(await self._telemetry.tally())
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
            link=self._link(standing, now_ms),
            buses=[_bus(settings, task) for settings, task in self._buses],
            devices=[row for _, task in self._buses for row in _devices(task)],
            queue=_queue(counts),
            refusals=dict(standing.refusals) if standing else {},
            troubles=troubles,
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
    data_dir: Path, enrolment: Enrolment | None, devices: Sequence[DeviceSettings]
) -> Status:
    """Return how an agent that does not run left its files.

    Raises:
        MistakeError: it runs after all, or the directory cannot be used.
    """
    troubles: dict[str, str] = {}
    state, standing, counts = None, None, None
    if data_dir.exists():
        with lock_directory(data_dir):
            state = _read(data_dir / TELEMETRY_NAME, load_state, troubles)
            standing = _read(data_dir / JOBS_NAME, read_standing, troubles)
            counts = _read(data_dir / JOBS_NAME, count_queue, troubles)
    tally, balanced = tally_members(state.tally if state else Tally(0, 0, 0, 0, 0))
    return Status(
        running=False,
        enrolled=enrolment is not None,
        agent=enrolment.agent if enrolment else "",
        fleet=enrolment.root.fleet.hex() if enrolment else "",
        coordinator=enrolment.url if enrolment else "",
        tally=tally,
        balanced=balanced,
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
    except (sqlite3.Error, TypeError) as error:
        troubles[path.name] = str(error)
        return None


def _bus(settings: BusSettings, task: BusTask) -> BusStatus:
    counters = task.health.counters
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
    )


def _devices(task: BusTask) -> list[DeviceStatus]:
    health = task.health
    return [_device(health.name, device, one) for device, one in health.devices.items()]


def _device(bus: str, device: DeviceId, health: DeviceHealth) -> DeviceStatus:
    return DeviceStatus(
        id=device, bus=bus, polls=health.polls, failed=health.failures, problem=health.problem
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
