"""The other half of a contact by the rules: what any coordinator does, over shared's own parts.

It keeps what it was told in dictionaries and never forgets. Answers are bytes, as on a wire. What
an honest agent must never cause is collected in `offences`.
"""

from collections import Counter
from dataclasses import dataclass, field
from hashlib import sha256

from shared.block.codec import decode
from shared.errors import Reason
from shared.ids import StoreEpoch
from shared.model.job import ExecutionState, JobSpec, TaskState
from shared.model.reading import epoch_ref
from shared.sync.body import Part, PartKind, decode_body, encode_body
from shared.sync.incoming import (
    NACK_REASON,
    BlockVerdict,
    Chain,
    LastReport,
    acknowledged,
    judge_block,
    judge_chain,
)
from shared.sync.ranges import Ranges
from shared.trust.documents import REPLY_TYP, Reply, Report, document_hash, open_report
from shared.trust.envelope import seal
from shared.wire.codec import pack
from shared.wire.messages import Grant, Receipt
from tests.agent_parts import NEVER
from tests.unit.trust_world import World, signer

BODY_BYTES = 1 << 20


class StaleError(Exception):
    """409: this report is older than the last one, or another one of its number."""


@dataclass
class Store:
    """One telemetry epoch of the agent, as it arrived."""

    received: Ranges = field(default_factory=Ranges)
    blocks: dict[int, bytes] = field(default_factory=dict)


@dataclass
class Brain:
    """One coordinator that knows one agent."""

    world: World = field(default_factory=World)
    last: LastReport | None = None
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
    deaf_to_receipts: bool = False

    def submit(self, execution: bytes, spec: JobSpec, *, not_after: int = NEVER) -> None:
        """Grant a job to the agent with the next answers."""
        self.jobs[execution] = Grant(execution, pack(spec), not_after)

    def answer(self, body: bytes, now_ms: int, *, genuine: bool = True) -> bytes:
        """Return the answer to a contact's body.

        Raises:
            StaleError: the chain contradicts it. From the agent itself, now, that is an offence.
        """
        parts = decode_body(body, bound=BODY_BYTES)
        assert parts[0].kind is PartKind.REPORT
        report = open_report(parts[0].data, self.world.agent.public_key)
        digest = document_hash(parts[0].data)
        chain = judge_chain(
            self.last, counter=report.counter, previous=report.previous, digest=digest
        )
        if genuine:
            self.chains[chain] += 1
        if chain in (Chain.STALE, Chain.FORKED):
            if genuine:
                self.offences.append(f"report {report.counter} is {chain.name}")
            raise StaleError(chain.name)
        self.last = LastReport(report.counter, digest)
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
        )
        answer = [Part(PartKind.REPLY, seal(REPLY_TYP, pack(reply), [signer("director")]))]
        if bundle := self._bundle(report, now_ms):
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
        if not grants:
            return None
        self.seq = max(self.seq, report.bundle_seq) + 1
        bundle = self.world.bundle(
            *grants,
            seq=self.seq,
            issued_ms=now_ms,
            not_before_ms=now_ms - 3_600_000,
            expires_ms=now_ms + 86_400_000,
        )
        self.signed.append(self.world.seal_bundle(bundle))
        return self.signed[-1]
