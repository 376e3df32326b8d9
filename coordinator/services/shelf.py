"""The signed documents that agents judge by, and which of them one agent lacks.

Read when the coordinator starts and whenever somebody put newer ones into the database. Leaves
out who signs them and where they are kept (`coordinator.transactions.fleet`).
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

from coordinator.core.ports import Store
from coordinator.services.bell import Bell
from coordinator.services.waiting import WaitingRoom
from coordinator.transactions.contact import Reached
from coordinator.transactions.fleet import Fleet, load_fleet
from shared.errors import MistakeError, RefusedError
from shared.ids import AgentId
from shared.runtime.logs import Events
from shared.sync.body import Part, PartKind
from shared.trust.catalog import Catalog, open_catalog
from shared.trust.documents import Report
from shared.trust.envelope import Signer
from shared.trust.policy import Policy, open_policy
from shared.trust.root import Root, open_root
from shared.trust.starter import weaknesses
from shared.wire.messages import SignedFloor

_LOOK_S = 3_600
"""Longest time between two looks at the database: a ring may be lost, or come from elsewhere."""

_log = Events(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """What is in force, and every step that led to it."""

    root: Root
    roots: Sequence[bytes]
    """Envelopes from version 1 on."""
    catalog: Catalog
    catalog_envelope: bytes
    policy: Policy
    policy_envelope: bytes
    restore_epoch: int

    @classmethod
    def load(cls, fleet: Fleet, *, where: str) -> Self:
        """Verify what the database holds.

        Raises:
            MistakeError: the documents do not follow from each other.
        """
        try:
            root = open_root(fleet.roots[0], trusted=None)
            for data in fleet.roots[1:]:
                root = open_root(data, trusted=root)
            catalog = open_catalog(fleet.catalog, root)
            policy = open_policy(fleet.policy, root)
        except RefusedError as error:
            raise MistakeError(
                f"holds documents that its own root does not vouch for ({error})",
                where=where,
                mend="put the database back from a backup",
            ) from error
        return cls(
            root=root,
            roots=fleet.roots,
            catalog=catalog,
            catalog_envelope=fleet.catalog,
            policy=policy,
            policy_envelope=fleet.policy,
            restore_epoch=fleet.restore_epoch,
        )

    def roots_after(self, version: int) -> list[Part]:
        """Return the roots that lead from `version` to the one in force, in their order."""
        return [Part(PartKind.ROOT, data) for data in self.roots[max(0, version) :]]

    def lacks(self, report: Report) -> bool:
        """Tell whether an agent lacks any document."""
        return bool(self.roots_after(report.root_version) or self.lacking(report))

    def lacking(self, report: Report) -> list[Part]:
        """Return the catalog and the policy, as far as an agent does not say it has them.

        A new root may let fall what an agent held under the one before it.
        """
        return self.lacking_after(
            report.root_version, catalog=report.catalog_version, policy=report.policy_version
        )

    def lacking_after(self, root: int, *, catalog: int, policy: int) -> list[Part]:
        """Return the same for an agent that said it has these versions."""
        behind = root < self.root.version
        parts = []
        if behind or catalog < self.catalog.version:
            parts.append(Part(PartKind.CATALOG, self.catalog_envelope))
        if behind or policy < self.policy.version:
            parts.append(Part(PartKind.POLICY, self.policy_envelope))
        return parts

    def floor(self, reached: Reached) -> SignedFloor:
        """Return where an agent goes on that lost its counters."""
        return SignedFloor(
            epoch=self.root.epoch,
            root_version=self.root.version,
            catalog_version=self.catalog.version,
            policy_version=self.policy.version,
            restore_epoch=self.restore_epoch,
            bundle_seq=reached.bundle_seq,
            counter=reached.counter,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class InForce:
    """Documents and the key that signs under them: they change together or not at all."""

    fleet: Fleet
    shelf: Shelf
    director: Signer


class Documents:
    """What is in force now. Whoever answers one request takes `now` once."""

    def __init__(self, fleet: Fleet, seat: "Seat") -> None:
        """Take the first documents; see `Seat` for what is raised."""
        self._seat = seat
        self.now = seat(fleet)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Return what a thief would find easy."""
        shelf = self.now.shelf
        return weaknesses(shelf.root, shelf.catalog, shelf.policy)

    def take(self, fleet: Fleet) -> bool:
        """Put what the database holds into force; tell whether it is something else."""
        before = self.now.fleet
        if (fleet.roots, fleet.catalog, fleet.policy, fleet.restore_epoch) == (
            before.roots,
            before.catalog,
            before.policy,
            before.restore_epoch,
        ):
            return False
        self.now = self._seat(fleet)
        return True


Seat = Callable[[Fleet], InForce]
"""Verifies documents and finds the director's key that they name; raises `MistakeError`."""


class News:
    """Reads documents again when the bell rings, and lets held contacts bring them to agents."""

    name = "news"

    def __init__(
        self, documents: Documents, store: Store, bell: Bell, work: WaitingRoom[AgentId]
    ) -> None:
        self._documents, self._store, self._bell, self._work = documents, store, bell, work

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            await self.look()
            await self._bell.wait(_LOOK_S)

    async def look(self) -> None:
        """Read the database once.

        Raises:
            WorldError: it does not work now.
        """
        fleet = await self._store.read(load_fleet)
        assert fleet is not None, "a coordinator that runs was founded"
        try:
            changed = self._documents.take(fleet)
        except MistakeError as error:
            # Agents go on under what was in force: nothing that does not verify reaches them.
            _log.event("documents_unusable", level=logging.ERROR, cause=str(error))
            return
        if changed:
            shelf = self._documents.now.shelf
            _log.event(
                "documents_in_force",
                root=shelf.root.version,
                epoch=shelf.root.epoch,
                catalog=shelf.catalog.version,
                policy=shelf.policy.version,
            )
            self._work.wake_all()
