"""The other half of a contact by the rules: what any coordinator does, over shared's own parts.

It keeps what it was told in dictionaries and never forgets. Answers are bytes, as on a wire. What
an honest agent must never cause is collected in `offences`.
"""

from collections import Counter
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from shared import limits
from shared.block.codec import decode
from shared.errors import Reason
from shared.ids import StoreEpoch
from shared.model.job import ExecutionState, JobSpec, TaskState
from shared.model.reading import epoch_ref
from shared.sync.body import Part, PartKind, decode_body, encode_body
from shared.sync.incoming import (
    ADVANCES,
    NACK_REASON,
    BlockVerdict,
    Chain,
    LastReport,
    acknowledged,
    is_stray_answer,
    judge_block,
    may_grant,
    remembered,
)
from shared.sync.ranges import Ranges
from shared.trust.catalog import Catalog, PointBound, ProfileBounds
from shared.trust.documents import (
    ECHO_BYTES,
    REPLY_TYP,
    Reply,
    Report,
    document_hash,
    open_report,
)
from shared.trust.envelope import seal
from shared.trust.keyset import Trust
from shared.wire.codec import pack
from shared.wire.messages import Grant, Receipt, SignedFloor
from tests.agent_parts import NEVER, PUMP
from tests.chain_memory import placed
from tests.unit.trust_world import (
    World,
    make_catalog,
    make_policy,
    make_root,
    make_trust,
    signer,
)

BODY_BYTES = 1 << 20


def pump_catalog(**changes: Any) -> Catalog:
    """Return a catalog for the agent's pumps, signed before any simulated clock begins."""
    points = [PointBound("setpoint", 0, 5000)]
    pumps = [ProfileBounds(PUMP.content_hash, points)]
    return make_catalog(**{"issued_ms": 0, "profiles": pumps, **changes})


def old_trust() -> Trust:
    """Return documents that were signed before any simulated clock begins."""
    return make_trust(make_root(issued_ms=0), pump_catalog(), make_policy(issued_ms=0))


@dataclass
class Store:
    """One telemetry epoch of the agent, as it arrived."""

    received: Ranges = field(default_factory=Ranges)
    blocks: dict[int, bytes] = field(default_factory=dict)


@dataclass
class Brain:
    """One coordinator that knows one agent."""

    world: World = field(default_factory=lambda: World(trust=old_trust()))
    last: LastReport | None = None
    known: dict[tuple[bytes, int], bytes] = field(default_factory=dict)
    left: set[bytes] = field(default_factory=set)
    strays: list[bytes] = field(default_factory=list)
    quarantined: bool = False
    stores: dict[bytes, Store] = field(default_factory=dict)
    receipts: dict[tuple[bytes, int], Receipt] = field(default_factory=dict)
    epochs: list[bytes] = field(default_factory=list)
    """Jobs epochs in the order of their first report."""
    jobs: dict[bytes, Grant] = field(default_factory=dict)
    chains: Counter[Chain] = field(default_factory=Counter)
    offences: list[str] = field(default_factory=list)
    seq: int = 0
    signed: list[bytes] = field(default_factory=list)
    """Every bundle that was ever signed."""
    nack: set[int] = field(default_factory=set)
    """Block numbers it refuses for good."""
    wishes: dict[str, Any] = field(default_factory=dict)
    """Members that its replies have besides."""
    deaf_to_receipts: bool = False
    cancels: list[bytes] = field(default_factory=list)
    """What its bundles call off, until a receipt says that it is over."""

    def submit(self, execution: bytes, spec: JobSpec, *, not_after: int = NEVER) -> None:
        """Grant a job to the agent with the next answers."""
        assert self.world.trust.policy is not None
        job_class = self.world.trust.policy.document.least_class(spec.every_step)
        self.jobs[execution] = Grant(execution, pack(spec), not_after, job_class or "operate")

    def answer(self, body: bytes, now_ms: int, *, genuine: bool = True) -> bytes:
        """Return the answer to a contact's body.

        What is beside the chain is taken in and moves nothing on; from the agent itself, now, it
        is an offence unless it lost a store.
        """
        parts = decode_body(body, bound=BODY_BYTES)
        assert parts[0].kind is PartKind.REPORT
        report = open_report(parts[0].data, self.world.agent.public_key)
        digest = document_hash(parts[0].data)
        chain = self._place(report, digest)
        if genuine:
            self.chains[chain] += 1
            if chain in (Chain.STALE, Chain.CLONE):
                self.offences.append(f"report {report.counter} is {chain.name}")
        if report.jobs_epoch not in self.epochs:
            self.epochs.append(report.jobs_epoch)
        nacked = [
            refused
            for part in parts[1:]
            if part.kind is PartKind.BLOCK and (refused := self._take(report, part.data))
        ]
        for receipt in report.receipts:
            self._hear(report, receipt)
        store = self.stores.setdefault(report.telemetry_epoch, Store())
        reply = Reply(
            agent=report.agent,
            report=digest,
            now_ms=now_ms,
            held_ms=0,
            acked=acknowledged(report, store.received),
            nacked=nacked,
            receipts_to=0 if self.deaf_to_receipts else self._heard_to(report.jobs_epoch),
            ledger_to=max((row.number for row in report.ledger), default=0),
            floor=None if report.attested else self._floor(report),
            **self.wishes,
        )
        envelope = seal(REPLY_TYP, pack(reply), [signer("director")])
        if is_stray_answer(chain):
            kept = [*self.strays, document_hash(envelope)[:ECHO_BYTES]]
            self.strays = kept[-limits.STRAY_REPLIES :]
        answer = [Part(PartKind.REPLY, envelope), *self._lacking(report)]
        granted = may_grant(chain, attested=report.attested, quarantined=self.quarantined)
        if granted and (bundle := self._bundle(report, now_ms)):
            answer.append(Part(PartKind.BUNDLE, bundle))
        return encode_body(answer)

    def state_of(self, execution: bytes) -> ExecutionState | None:
        """Return what the receipts say of an execution: terminal beats all, then the newest."""
        known = [
            (ExecutionState(r.state) >= ExecutionState.SUCCEEDED, self.epochs.index(e), n, r.state)
            for (e, n), r in self.receipts.items()
            if r.execution == execution and not r.device
        ]
        return ExecutionState(max(known)[-1]) if known else None

    def ends_of(self, execution: bytes, device: str) -> list[TaskState]:
        """Return every end of a task that was told, in order."""
        return [
            TaskState(r.state)
            for (_, _), r in sorted(self.receipts.items(), key=lambda item: item[0][1])
            if r.execution == execution and r.device == device
        ]

    @property
    def readings(self) -> list[float]:
        """Return every value that was received, in the order of blocks."""
        return [
            value
            for store in self.stores.values()
            for _, data in sorted(store.blocks.items())
            for group in decode(data).groups
            for row in zip(*group.columns, strict=True)
            for value in row
            if value is not None
        ]

    def _place(self, report: Report, digest: bytes) -> Chain:
        chain = placed(self, report, digest)
        self.quarantined |= chain is Chain.CLONE
        if chain in ADVANCES:
            if self.last is not None and self.last.jobs_epoch != report.jobs_epoch:
                self.left.add(self.last.jobs_epoch)
                self.strays.clear()
            self.last = LastReport(report.counter, digest, report.jobs_epoch)
            for number, known in remembered(report, digest):
                self.known[report.jobs_epoch, number] = known
        return chain

    def _lacking(self, report: Report) -> list[Part]:
        """Return the catalog and the policy as far as the agent does not have them."""
        trust, parts = self.world.trust, []
        if trust.catalog and report.catalog_version < trust.catalog_version:
            parts.append(Part(PartKind.CATALOG, trust.catalog.envelope))
        if trust.policy and report.policy_version < trust.policy_version:
            parts.append(Part(PartKind.POLICY, trust.policy.envelope))
        return parts

    def _floor(self, report: Report) -> SignedFloor:
        trust = self.world.trust
        return SignedFloor(
            epoch=trust.root.epoch,
            root_version=trust.root.version,
            catalog_version=trust.catalog_version,
            policy_version=trust.policy_version,
            restore_epoch=0,
            bundle_seq=self.seq,
            counter=max(report.counter, self.last.counter if self.last else 0),
        )

    def _take(self, report: Report, data: bytes) -> tuple[int, int] | None:
        block = decode(data)
        store = self.stores.setdefault(report.telemetry_epoch, Store())
        if block.seq in self.nack:
            return block.seq, Reason.BLOCK_MALFORMED
        known = store.blocks.get(block.seq)
        verdict = judge_block(
            report,
            seq=block.seq,
            epoch_matches=block.epoch == epoch_ref(StoreEpoch(report.telemetry_epoch)),
            digest=sha256(data).digest()[:16],
            received=store.received,
            stored_digest=sha256(known).digest()[:16] if known else None,
        )
        if verdict is BlockVerdict.STORE:
            store.received = store.received.add(block.seq)
            store.blocks[block.seq] = data
        elif verdict is not BlockVerdict.DUPLICATE:
            self.offences.append(f"block {block.seq} is {verdict.name}")
        reason = NACK_REASON.get(verdict)
        return None if reason is None else (block.seq, reason)

    def _hear(self, report: Report, receipt: Receipt) -> None:
        known = self.receipts.setdefault((report.jobs_epoch, receipt.number), receipt)
        if known != receipt:
            self.offences.append(f"receipt {receipt.number} says two things")

    def _heard_to(self, epoch: bytes) -> int:
        number = 0
        while (epoch, number + 1) in self.receipts:
            number += 1
        return number

    def _bundle(self, report: Report, now_ms: int) -> bytes | None:
        heard = {r.execution for r in self.receipts.values()}
        grants = [grant for uid, grant in self.jobs.items() if uid not in heard]
        over = ExecutionState.SUCCEEDED
        cancels = [uid for uid in self.cancels if (self.state_of(uid) or 0) < over]
        if not grants and not cancels:
            return None
        self.seq = max(self.seq, report.bundle_seq) + 1
        bundle = self.world.bundle(
            *grants,
            cancels=cancels,
            jobs_epoch=report.jobs_epoch,
            seq=self.seq,
            issued_ms=now_ms,
            not_before_ms=now_ms - 3_600_000,
            expires_ms=now_ms + 86_400_000,
        )
        self.signed.append(self.world.seal_bundle(bundle))
        return self.signed[-1]
