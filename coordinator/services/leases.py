"""Services that run in one process of several at a time: the others stand by.

For work that reads and writes in different transactions, as rollups do: two that compute the same
minute from different states could leave the older one. A process that was killed is followed by
another one when its lease is over; one that only was slow finds its next transaction undone. Leaves
out the rows (`coordinator.transactions.leases`).
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from functools import partial
from typing import TypeVar

from coordinator.core.ports import Line, LivingStore, Tx
from coordinator.transactions.leases import (
    Lease,
    LeaseLostError,
    release_lease,
    renew_lease,
    take_lease,
    under_lease,
)
from shared import limits
from shared.clock import Entropy, WallMs
from shared.errors import WorldError
from shared.runtime.logs import Events
from shared.runtime.service import Service

T = TypeVar("T")

_log = Events(__name__)


class LeasedStore:
    """A store in which one service writes only as long as it holds its lease."""

    def __init__(self, store: LivingStore, lease: Lease) -> None:
        self._store, self._lease = store, lease

    async def take(self) -> bool:
        """Take the lease if nobody has it; tell whether that succeeded."""
        return await self._store.run(partial(take_lease, self._lease), durable=False)

    async def renew(self) -> None:
        """Keep the lease, or raise LeaseLostError."""
        await self._store.run(partial(renew_lease, self._lease), durable=False)

    async def release(self) -> None:
        """Let somebody else take it at once."""
        await self._store.run(partial(release_lease, self._lease), durable=False)

    async def run(self, transaction: Callable[[], Tx[T]], *, durable: bool, agent: str = "") -> T:
        """Run a transaction; see `coordinator.core.ports.Store.run`.

        Raises:
            LeaseLostError: another process does this work.
            WorldError: nothing was committed, unless it is STORE_UNSURE.
        """
        return await self._store.run(
            partial(under_lease, self._lease, transaction), durable=durable, agent=agent
        )

    async def read(self, transaction: Callable[[], Tx[T]]) -> T:
        """Run a body that only reads; see `coordinator.core.ports.Store.read`."""
        return await self._store.read(transaction)

    async def until_failed(self) -> None:
        """Return once nothing works until `recover`."""
        await self._store.until_failed()

    async def recover(self) -> None:
        """Make it work again."""
        await self._store.recover()

    async def upkeep(self, now_ms: WallMs) -> Mapping[str, int]:
        """Do what the engine needs now and then."""
        return await self._store.upkeep(now_ms)

    def line(self) -> Line | None:
        """Return what reaches other replicas."""
        return self._store.line()

    async def close(self) -> None:
        """Do nothing: the store is somebody else's."""


def with_lease(store: LivingStore, name: str, entropy: Entropy) -> LivingStore:
    """Return a store for a service of which one process of several runs one at a time."""
    if store.line() is None:
        return store  # there are no other processes
    return LeasedStore(store, Lease(name, entropy.token(8)))


def in_turn(service: Service, store: LivingStore) -> Service:
    """Return a service that runs whenever nobody else's does; `with_lease` made its store."""
    return Leased(service, store) if isinstance(store, LeasedStore) else service


class Leased:
    """A service that does another one's work whenever it holds that one's lease."""

    def __init__(self, service: Service, store: LeasedStore) -> None:
        self.name = service.name
        self._service, self._store = service, store

    async def run(self) -> None:
        """Work or stand by until cancelled."""
        while True:
            taken = True  # as far as anybody knows: whose answer never comes may have been taken
            try:
                taken = await self._store.take()
                if taken:
                    _log.event("lease_taken", work=self.name)
                    await self._work()
            finally:
                if taken:
                    with contextlib.suppress(WorldError):
                        await self._store.release()
            await asyncio.sleep(limits.LEASE_S / 3)

    async def _work(self) -> None:
        """Let the service work until its lease is lost, or until it fails.

        Raises:
            Exception: what it failed with.
        """
        tasks = {asyncio.create_task(self._service.run()), asyncio.create_task(self._keep())}
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        except LeaseLostError:
            _log.event("lease_lost", work=self.name)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(limits.LEASE_S / 3)
            await self._store.renew()
