"""Leases: work that only one process may do at a time, by the database's own clock.

Whoever holds a lease renews it within each transaction of the work, so one that came to be another
process's undoes what its old holder still tries to write. Leaves out whose work it is
(`coordinator.services.leases`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from coordinator.core.ports import Tx, execute, fetch_one
from shared import limits

T = TypeVar("T")


class LeaseLostError(Exception):
    """Another process does this work now; nothing was written."""


@dataclass(frozen=True, slots=True)
class Lease:
    """One piece of work, and who wants it."""

    name: str
    holder: bytes
    """A fresh one at each start: a process that comes back is another one."""


def take_lease(lease: Lease) -> Tx[bool]:
    """Take a lease that nobody has, or whose time is over; tell whether that succeeded."""
    row = yield from fetch_one("lease_take", lease.name, lease.holder, limits.LEASE_S * 1000)
    return row is not None


def renew_lease(lease: Lease) -> Tx[None]:
    """Keep a lease for another while; also one whose time is over, if nobody took it.

    Raises:
        LeaseLostError: somebody did.
    """
    row = yield from fetch_one("lease_renew", lease.name, lease.holder, limits.LEASE_S * 1000)
    if row is None:
        raise LeaseLostError(lease.name)


def release_lease(lease: Lease) -> Tx[None]:
    """Let somebody else take it at once."""
    yield from execute("lease_release", lease.name, lease.holder)


def under_lease(lease: Lease, body: Callable[[], Tx[T]]) -> Tx[T]:
    """Run a body whose writes count only as long as the lease is held.

    Raises:
        LeaseLostError: it is not.
    """
    yield from renew_lease(lease)
    return (yield from body())
