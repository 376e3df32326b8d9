"""Three loops that keep a coordinator going: deadlines, the certificate, a store that failed."""

import asyncio
import ssl
from functools import partial

from coordinator.core.ports import LivingStore, Store
from coordinator.keys.certificates import (
    hosts_of,
    is_due,
    issue_server,
    load_authority,
    load_server,
)
from coordinator.keys.directory import DataDirectory
from coordinator.services.bell import Bell
from coordinator.services.leases import in_turn, with_lease
from coordinator.services.retention import Retention
from coordinator.services.rollups import Rollups
from coordinator.services.waiting import WaitingRoom
from coordinator.transactions.deadlines import expire, next_deadline
from shared import limits
from shared.clock import Clock, Entropy, WallMs
from shared.runtime.logs import Events
from shared.runtime.service import Service

_DAY_S = 86_400
_LOOK_S = 3_600
"""Longest sleep: the wall clock may be set meanwhile, or a ring for a new job be lost."""

_log = Events(__name__)


class Deadlines:
    """Settles jobs whose time to begin is over; sleeps until the next one is."""

    name = "deadlines"

    def __init__(self, store: Store, clock: Clock, jobs: WaitingRoom[bytes]) -> None:
        self._store, self._clock, self._jobs = store, clock, jobs
        self.bell = Bell()

    def look_again(self) -> None:
        """Say that a job was submitted."""
        self.bell.ring()

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            while await self.round():
                pass
            due_ms = await self._store.read(next_deadline)
            await self.bell.wait(rest_s(due_ms, self._clock.wall_ms()))

    async def round(self) -> bool:
        """Settle some of the jobs whose time is over; tell whether there were any for us."""
        body = partial(expire, self._clock.wall_ms())
        settled = await self._store.run(body, durable=False)
        self._jobs.wake(settled)
        return bool(settled)


def rest_s(due_ms: WallMs | None, now_ms: WallMs) -> float:
    """Return how long to sleep towards a deadline, if there is any.

    One that is over, another replica is at.
    """
    if due_ms is None:
        return _LOOK_S
    left_s = (due_ms - now_ms) / 1000
    return min(left_s, _LOOK_S) if left_s > 0 else limits.TAKEN_LOOK_S


class Renewal:
    """Renews the server's certificate before it ends; connections that are open stay."""

    name = "renewal"

    def __init__(self, directory: DataDirectory, context: ssl.SSLContext, clock: Clock) -> None:
        self._directory, self._context, self._clock = directory, context, clock

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            if renew_if_due(self._directory, self._clock):
                self._context.load_cert_chain(self._directory.server)
            await asyncio.sleep(_DAY_S)


class Recovery:
    """Opens a store that failed again; the supervisor waits longer after each failure."""

    name = "recovery"

    def __init__(self, store: LivingStore) -> None:
        self._store = store

    async def run(self) -> None:
        """Work until cancelled.

        Raises:
            WorldError: the store still fails.
        """
        while True:
            await self._store.until_failed()
            await self._store.recover()
            _log.event("store_recovered")


def renew_if_due(directory: DataDirectory, clock: Clock) -> bool:
    """Issue a fresh server certificate for the same hosts when little is left of the old one.

    Raises:
        MistakeError: a key file cannot be used.
        OSError: the new one cannot be written.
    """
    now_ms = clock.wall_ms()
    old = load_server(directory.server)
    if not is_due(old, now_ms):
        return False
    authority = load_authority(directory.authority, directory.authority_key)
    made = issue_server(authority, directory.server, hosts=hosts_of(old), now_ms=now_ms)
    _log.event("certificate_renewed", until=made.not_valid_after_utc.isoformat())
    return True


def keep_up(
    store: LivingStore, clock: Clock, entropy: Entropy, readings: Bell
) -> tuple[Rollups, Service, Service]:
    """Return rollups, and the services for what nobody waits for, rollups among them.

    Of several processes on one database one at a time runs each of them.
    """
    for_rollups = with_lease(store, Rollups.name, entropy)
    for_retention = with_lease(store, Retention.name, entropy)
    rollups = Rollups(for_rollups, clock, readings)
    retention = Retention(for_retention, clock)
    return rollups, in_turn(rollups, for_rollups), in_turn(retention, for_retention)
