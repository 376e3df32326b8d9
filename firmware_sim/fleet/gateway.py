"""One simulated gateway: its key, its chain of reports, its blocks, what an answer frees.

Speaks as the agent does: a report is frozen before it is sent and sent again byte for byte until a
verified answer names it; a block is kept until it is acknowledged; a bundle is admitted only under
the director's signature and a number above the last. Leaves out devices, stores and everything
that makes an agent durable: what it knows fits into a `Seat`, which a roster keeps.
"""

from dataclasses import dataclass
from hashlib import sha256

import msgspec

from firmware_sim.fleet.readings import BlockPool, Stamp
from shared import limits
from shared.clock import ClockState
from shared.errors import Reason, RefusedError
from shared.ids import StoreEpoch
from shared.model.job import ExecutionState
from shared.model.reading import boot_ref, epoch_ref, schema_ref
from shared.sync.body import Part, PartKind, decode_body, encode_body
from shared.sync.ranges import Ranges
from shared.trust.catalog import open_catalog
from shared.trust.documents import (
    ECHO_BYTES,
    REPORT_TYP,
    Reply,
    Report,
    Root,
    document_hash,
    open_bundle,
    open_reply,
    open_root,
)
from shared.trust.envelope import KeySigner, seal
from shared.trust.policy import open_policy
from shared.wire.codec import pack
from shared.wire.messages import Announced, Receipt, Tally

_DIGEST_BYTES = 16


class Seat(msgspec.Struct, kw_only=True):
    """What a gateway knows, and a roster keeps between two runs; times are wall milliseconds."""

    number: int
    name: str
    began_ms: int
    """Of its boot."""
    row_ms: int
    """Of the next row that it will sample."""
    counter: int = 0
    previous: bytes = b""
    answered: bytes = b""
    next_seq: int = 1
    sampled: int = 0
    delivered: int = 0
    lost: int = 0
    bundle_seq: int = 0
    next_receipt: int = 1
    catalog_version: int = 0
    policy_version: int = 0
    restore_epoch: int = 0
    has_schema: bool = False
    """The coordinator was sent the channel list."""
    receipts: list[Receipt] = []
    """Not acknowledged yet."""
    known: list[bytes] = []
    """Executions of the newest bundles: an order that comes again is not run again."""


@dataclass(slots=True, kw_only=True)
class Fleet:
    """What all gateways of a fleet have in common."""

    fleet: bytes
    root: Root
    """The newest that any of them was led to."""
    seed: str
    """Keys and epochs follow from it: a simulated fleet has no secrets."""
    pool: BlockPool
    work: bool = False
    """Admit what bundles order, and tell that it was done."""

    def signer(self, number: int) -> KeySigner:
        """Return the key of one gateway."""
        return KeySigner(self.secret("key", number))

    def secret(self, kind: str, number: int) -> bytes:
        """Return 32 bytes that are always the same for one gateway."""
        return sha256(f"{self.seed}/{kind}/{number}".encode()).digest()


@dataclass(frozen=True, slots=True)
class Heard:
    """What an answer brought."""

    blocks: int
    """Acknowledged."""
    readings: int
    executions: int = 0
    """That were new."""
    hurry: bool = False
    """There is something to say at once: what became of an order, or a list that is asked for."""


@dataclass(frozen=True, slots=True)
class _Sent:
    """A report on its way."""

    body: bytes
    digest: bytes
    blocks: tuple[int, ...]
    receipts_to: int


class Gateway:
    """See above; not shared between two contacts at once."""

    def __init__(self, fleet: Fleet, seat: Seat) -> None:
        self.seat = seat
        self._fleet = fleet
        self._signer = fleet.signer(seat.number)
        self._telemetry = StoreEpoch(fleet.secret("telemetry", seat.number)[:16])
        self._jobs = fleet.secret("jobs", seat.number)[:16]
        self._boot = fleet.secret("boot", seat.number)[:16]
        self._waiting: dict[int, bytes] = {}
        self._sent: _Sent | None = None

    @property
    def public_key(self) -> bytes:
        """Return the key that its reports verify with."""
        return self._signer.public_key

    @property
    def waiting(self) -> int:
        """Return how many blocks nobody acknowledged yet."""
        return len(self._waiting)

    def sample(self, now_ms: int) -> bool:
        """Seal one more block; False while as many as may be held back wait already."""
        if len(self._waiting) >= limits.FLEET_BLOCKS:
            return False
        seat, shape = self.seat, self._fleet.pool.shape
        # Nobody samples the future: a fleet that is in more of a hurry than its clock samples
        # the newest stretch again.
        start_ms = min(seat.row_ms, now_ms - shape.span_ms)
        stamp = Stamp(
            epoch_ref(self._telemetry),
            boot_ref(self._boot),
            seat.next_seq,
            start_ms - seat.began_ms,
            start_ms,
        )
        self._waiting[seat.next_seq] = self._fleet.pool.take(seat.number + seat.next_seq, stamp)
        seat.next_seq += 1
        seat.sampled += shape.readings
        seat.row_ms = start_ms + shape.span_ms
        return True

    def write(self, now_ms: int) -> bytes:
        """Return the body of the next contact; the same one until it was answered."""
        if self._sent is None:
            self._sent = self._freeze(now_ms)
        return self._sent.body

    def read(self, body: bytes, now_ms: int) -> Heard:
        """Take an answer in.

        Raises:
            RefusedError: it is not the director's, or answers another report; nothing changes.
        """
        sent = self._sent
        assert sent is not None, "an answer follows a report"
        parts = decode_body(body, bound=limits.BODY_BYTES_DOWN)
        for part in parts:
            if part.kind is PartKind.ROOT:
                self._follow(part.data)
        envelope = _only(parts, PartKind.REPLY)
        reply = open_reply(envelope, self._fleet.root)
        if reply.report != sent.digest or reply.agent != self.seat.name:
            raise RefusedError(Reason.BAD_SCHEMA, "it answers another report")
        self._sent = None
        self.seat.answered = document_hash(envelope)[:ECHO_BYTES]
        self.seat.restore_epoch = max(self.seat.restore_epoch, reply.restore_epoch)
        blocks = self._free(sent, reply)
        new = 0
        for part in parts:
            if part.kind is PartKind.BUNDLE and self._fleet.work:
                new += self._admit(part.data, now_ms)
        self._learn(parts)
        if self._ref in reply.schemas_wanted:
            self.seat.has_schema = False
        hurry = bool(new) or not self.seat.has_schema
        return Heard(blocks, blocks * self._fleet.pool.shape.readings, new, hurry)

    @property
    def _ref(self) -> bytes:
        return schema_ref(self._fleet.pool.schema.hash)

    def _freeze(self, now_ms: int) -> _Sent:
        seat = self.seat
        schema = b"" if seat.has_schema else self._fleet.pool.schema.encode()
        digests = {seq: sha256(data).digest() for seq, data in self._waiting.items()}
        receipts = seat.receipts[: limits.RECEIPTS_PER_REPORT]
        seat.counter += 1
        report = Report(
            fleet=self._fleet.fleet,
            agent=seat.name,
            boot_id=self._boot,
            counter=seat.counter,
            previous=seat.previous,
            telemetry_epoch=self._telemetry,
            jobs_epoch=self._jobs,
            bundle_seq=seat.bundle_seq,
            root_version=self._fleet.root.version,
            floor_ms=0,
            wall_ms=now_ms,
            mono_ms=now_ms - seat.began_ms,
            clock_state=ClockState.SYNCED,
            next_block=seat.next_seq,
            tally=self._tally(),
            blocks=[Announced(seq, digest[:_DIGEST_BYTES]) for seq, digest in digests.items()],
            receipts=receipts,
            catalog_version=seat.catalog_version,
            policy_version=seat.policy_version,
            restore_epoch=seat.restore_epoch,
            answered=seat.answered,
            schemas=[] if seat.has_schema else [sha256(schema).digest()],
            next_receipt=seat.next_receipt,
        )
        envelope = seal(REPORT_TYP, pack(report), [self._signer])
        parts = [Part(PartKind.REPORT, envelope)]
        parts += [Part(PartKind.BLOCK, data) for data in self._waiting.values()]
        if not seat.has_schema:
            parts.append(Part(PartKind.SCHEMA, schema))
            seat.has_schema = True
        seat.previous = document_hash(envelope)
        receipts_to = receipts[-1].number if receipts else 0
        return _Sent(encode_body(parts), seat.previous, tuple(digests), receipts_to)

    def _tally(self) -> Tally:
        seat = self.seat
        stored = seat.sampled - seat.delivered - seat.lost
        return Tally(seat.sampled, 0, seat.delivered, stored, seat.lost)

    def _free(self, sent: _Sent, reply: Reply) -> int:
        """Forget what was acknowledged, set aside what was refused; return how many blocks."""
        acked, readings = Ranges.joined(reply.acked), self._fleet.pool.shape.readings
        freed = [seq for seq in sent.blocks if seq in acked]
        refused = {seq for seq, _ in reply.nacked if seq in sent.blocks}
        for seq in (*freed, *refused):
            self._waiting.pop(seq, None)
        self.seat.delivered += len(freed) * readings
        self.seat.lost += len(refused) * readings
        to = min(reply.receipts_to, sent.receipts_to)
        self.seat.receipts = [one for one in self.seat.receipts if one.number > to]
        return len(freed)

    def _admit(self, envelope: bytes, now_ms: int) -> int:
        """Admit a bundle and note what became of its orders; return how many were new."""
        bundle, seat = open_bundle(envelope, self._fleet.root), self.seat
        if bundle.seq <= seat.bundle_seq or bundle.jobs_epoch != self._jobs:
            return 0
        seat.bundle_seq = bundle.seq
        new = [one.execution for one in bundle.grants if one.execution not in seat.known]
        for execution in new:
            self._note(execution, ExecutionState.DELIVERED, now_ms)
            self._note(execution, ExecutionState.SUCCEEDED, now_ms)
        seat.known = [*seat.known, *new][-limits.GRANTS_PER_BUNDLE :]
        return len(new)

    def _note(self, execution: bytes, state: ExecutionState, now_ms: int) -> None:
        seat = self.seat
        seat.receipts = [
            *seat.receipts,
            Receipt(seat.next_receipt, execution, "", state, 1, 0, now_ms),
        ]
        seat.next_receipt += 1

    def _follow(self, envelope: bytes) -> None:
        """Trust the next root; its version is one above, and both roots signed it."""
        root = open_root(envelope, trusted=self._fleet.root)
        if root.version == self._fleet.root.version + 1:
            self._fleet.root = root

    def _learn(self, parts: list[Part]) -> None:
        """Verify what else came and note its version, so that it does not come again."""
        for part in parts:
            if part.kind is PartKind.CATALOG:
                self.seat.catalog_version = open_catalog(part.data, self._fleet.root).version
            elif part.kind is PartKind.POLICY:
                self.seat.policy_version = open_policy(part.data, self._fleet.root).version


def _only(parts: list[Part], kind: PartKind) -> bytes:
    found = [part.data for part in parts if part.kind is kind]
    if len(found) != 1:
        raise RefusedError(Reason.BODY_MALFORMED, f"{len(found)} parts of kind {kind.name}")
    return found[0]
