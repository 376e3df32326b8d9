"""The signed documents that agents judge by, and which of them one agent lacks.

Read once, when the coordinator starts. Leaves out who signs them and where they are kept
(`coordinator.transactions.fleet`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from coordinator.transactions.contact import Reached
from coordinator.transactions.fleet import Fleet
from shared.errors import MistakeError, RefusedError
from shared.sync.body import Part, PartKind
from shared.trust.catalog import Catalog, open_catalog
from shared.trust.documents import Report
from shared.trust.policy import Policy, open_policy
from shared.trust.root import Root, open_root
from shared.wire.messages import SignedFloor


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
        behind = report.root_version < self.root.version
        parts = []
        if behind or report.catalog_version < self.catalog.version:
            parts.append(Part(PartKind.CATALOG, self.catalog_envelope))
        if behind or report.policy_version < self.policy.version:
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
