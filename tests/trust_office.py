"""A coordinator made of the pure trust core alone, honest, with one gateway and its offline keys.

The counterpart of `tests.trust_gateway`: it keeps the agent's chain, signs answers and bundles,
and plays the people who hold the offline keys.
"""

import copy
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec

from shared import limits
from shared.errors import RefusedError
from shared.ids import key_id
from shared.model.job import JobSpec
from shared.sync.body import PartKind
from shared.sync.incoming import (
    ADVANCES,
    Chain,
    LastReport,
    is_stray_answer,
    may_grant,
    may_sign,
    remembered,
)
from shared.trust.catalog import Catalog
from shared.trust.documents import (
    BUNDLE_TYP,
    ECHO_BYTES,
    REPLY_TYP,
    Bundle,
    Reply,
    Report,
    Root,
    document_hash,
    open_report,
)
from shared.trust.envelope import KeySigner
from shared.trust.policy import Policy
from shared.wire.codec import pack
from shared.wire.messages import Grant, SignedFloor
from tests.chain_memory import placed
from tests.unit.trust_world import (
    DAY,
    FLEET,
    GRACE_S,
    NAME,
    NOW,
    make_catalog,
    make_policy,
    make_root,
    seal_catalog,
    seal_policy,
    seal_root,
    sealed,
)

Parts = list[tuple[PartKind, bytes]]
D = TypeVar("D", Catalog, Policy)


@dataclass
class Row:
    """What the database knows of the agent: lost and restored with it."""

    last: LastReport | None = None
    known: dict[tuple[bytes, int], bytes] = field(default_factory=dict)
    left: set[bytes] = field(default_factory=set)
    strays: list[bytes] = field(default_factory=list)
    quarantined: bool = False
    restore_epoch: int = 0
    seq: int = 0
    counter: int = 0
    queue: list[Grant] = field(default_factory=list)
    """Granted and not known to be delivered."""
    signed_under: dict[bytes, bytes] = field(default_factory=dict)
    """The agent's jobs epoch when an execution was first signed."""
    sent: tuple[int, int, frozenset[bytes]] = (0, 0, frozenset())
    """Epoch, number and executions of the newest bundle."""


class Office:
    """A fleet's keys, documents and one row."""

    def __init__(self, agent: KeySigner) -> None:
        self.agent_key = agent.public_key
        self.now_ms = NOW
        self.director = 1
        self.roots = [make_root(director=self.director_name)]
        self.root_envelopes = [seal_root(self.roots[0])]
        self.catalogs: list[Catalog] = [make_catalog()]
        self.policies: list[Policy] = [make_policy()]
        self.row = Row()
        self.verdicts: list[Chain] = []

    @property
    def director_name(self) -> str:
        return f"director-{self.director}"

    @property
    def root(self) -> Root:
        return self.roots[-1]

    # --- offline keys ---------------------------------------------------------------------------
    def next_root(self, *, new_director: bool, new_epoch: bool) -> bytes:
        """Return the next root, as the officers sign it; a new epoch begins its documents anew."""
        self.director += new_director
        epoch = self.root.epoch + new_epoch
        root = make_root(
            director=self.director_name,
            version=self.root.version + 1,
            epoch=epoch,
            issued_ms=self.now_ms,
            expires_ms=self.now_ms + 365 * DAY,
        )
        self.roots.append(root)
        self.root_envelopes.append(seal_root(root))
        if new_epoch:
            self.catalogs.append(self._again(self.catalogs[-1], 1))
            self.policies.append(self._again(self.policies[-1], 1))
            self.row.seq = 0
        return self.root_envelopes[-1]

    def next_catalog(self, highest: int) -> bytes:
        """Return the next catalog, with another bound of the pump's setpoint."""
        before = self.catalogs[-1]
        after = make_catalog(
            version=before.version + 1,
            epoch=self.root.epoch,
            issued_ms=self.now_ms,
            expires_ms=self.now_ms + 90 * DAY,
        )
        point = after.profiles[0].points[0]
        after.profiles[0].points[0] = type(point)(point.name, point.low, highest)
        self.catalogs.append(after)
        return seal_catalog(after)

    def next_policy(self) -> bytes:
        """Return the next policy."""
        self.policies.append(self._again(self.policies[-1], self.policies[-1].version + 1))
        return seal_policy(self.policies[-1])

    def _again(self, document: D, version: int) -> D:
        return msgspec.structs.replace(
            document,
            version=version,
            epoch=self.root.epoch,
            issued_ms=self.now_ms,
            expires_ms=self.now_ms + 90 * DAY,
        )

    # --- a contact ------------------------------------------------------------------------------
    def hear(self, envelope: bytes) -> Parts | None:
        """Return the answer to a report, None when its signature is not the agent's."""
        try:
            report = open_report(envelope, self.agent_key)
        except RefusedError:
            return None
        chain = self._place(report, document_hash(envelope))
        reply = self._reply(report, document_hash(envelope))
        if is_stray_answer(chain):
            kept = [*self.row.strays, document_hash(reply)[:ECHO_BYTES]]
            self.row.strays = kept[-limits.STRAY_REPLIES :]
        missed = self.root_envelopes[report.root_version :]
        parts = [(PartKind.ROOT, data) for data in missed]
        parts.append((PartKind.REPLY, reply))
        parts.append((PartKind.CATALOG, seal_catalog(self.catalogs[-1])))
        parts.append((PartKind.POLICY, seal_policy(self.policies[-1])))
        if may_grant(chain, attested=report.attested, quarantined=self.row.quarantined):
            parts += self._orders(report.jobs_epoch)
        return parts

    def _orders(self, jobs_epoch: bytes) -> Parts:
        under = self.row.signed_under
        self.row.queue = [
            grant
            for grant in self.row.queue
            if may_sign(
                signed_under=under.get(grant.execution), jobs_epoch=jobs_epoch, idempotent=False
            )
        ]
        if not self.row.queue:
            return []
        for grant in self.row.queue:
            under.setdefault(grant.execution, jobs_epoch)
        return [(PartKind.BUNDLE, self.bundle(self.row.queue, jobs_epoch=jobs_epoch))]

    def bundle(self, grants: list[Grant], *, jobs_epoch: bytes, agent: str = NAME) -> bytes:
        """Return the next bundle, signed by the director."""
        self.row.seq += 1
        bundle = Bundle(
            fleet=FLEET,
            agent=agent,
            agent_key=key_id(self.agent_key),
            jobs_epoch=jobs_epoch,
            epoch=self.root.epoch,
            root_version=self.root.version,
            catalog_version=self.catalogs[-1].version,
            policy_version=self.policies[-1].version,
            restore_epoch=self.row.restore_epoch,
            seq=self.row.seq,
            issued_ms=self.now_ms,
            not_before_ms=self.now_ms,
            expires_ms=self.now_ms + 7 * DAY,
            stale_s=GRACE_S,
            grants=list(grants),
        )
        executions = frozenset(grant.execution for grant in grants)
        self.row.sent = (bundle.epoch, bundle.seq, executions)
        return sealed(BUNDLE_TYP, bundle, self.director_name)

    def submit(self, job: JobSpec, job_class: str, execution: bytes, *approvals: bytes) -> None:
        """Queue an execution."""
        grant = Grant(
            execution, pack(job), self.now_ms + 30 * DAY, job_class, approvals=list(approvals)
        )
        self.row.queue.append(grant)

    def restore(self, backup: Row) -> None:
        """Go on from a backup, and say so to every agent from now on."""
        epoch = self.row.restore_epoch + 1
        self.row = copy.deepcopy(backup)
        self.row.restore_epoch = epoch
        self.row.seq = 0
        last = b"" if self.row.last is None else self.row.last.jobs_epoch
        for grant in self.row.queue:
            # It may have been signed between the backup and the loss.
            self.row.signed_under.setdefault(grant.execution, last)

    def _place(self, report: Report, digest: bytes) -> Chain:
        row = self.row
        chain = placed(row, report, digest)
        self.verdicts.append(chain)
        row.quarantined |= chain is Chain.CLONE
        if chain in ADVANCES:
            if row.last is not None and row.last.jobs_epoch != report.jobs_epoch:
                row.left.add(row.last.jobs_epoch)
                row.strays.clear()
            row.last = LastReport(report.counter, digest, report.jobs_epoch)
            row.counter = max(row.counter, report.counter)
            row.known.update(
                ((report.jobs_epoch, number), known) for number, known in remembered(report, digest)
            )
            self._delivered(report)
        return chain

    def _delivered(self, report: Report) -> None:
        row = self.row
        epoch = self.roots[report.root_version - 1].epoch
        if (epoch, report.bundle_seq, report.restore_epoch) == (*row.sent[:2], row.restore_epoch):
            row.queue = [grant for grant in row.queue if grant.execution not in row.sent[2]]

    def _reply(self, report: Report, digest: bytes) -> bytes:
        floor = None
        if not report.attested:
            floor = SignedFloor(
                epoch=self.root.epoch,
                root_version=self.root.version,
                catalog_version=self.catalogs[-1].version,
                policy_version=self.policies[-1].version,
                restore_epoch=self.row.restore_epoch,
                bundle_seq=self.row.seq,
                counter=self.row.counter,
            )
        reply = Reply(
            report.agent,
            digest,
            self.now_ms,
            0,
            restore_epoch=self.row.restore_epoch,
            floor=floor,
        )
        return sealed(REPLY_TYP, reply, self.director_name)
