"""What the agent sends next, and what an answer frees.

Pure: the agent's stores give candidates and keep the frozen report; this file chooses, chains
and judges. A report, once frozen, is resent byte-identical until a reply names its hash.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from shared import limits
from shared.errors import Reason
from shared.sync.body import part_bytes
from shared.sync.ranges import Ranges
from shared.trust.documents import REPORT_TYP, Reply, Report, document_hash
from shared.trust.envelope import Signer, peek_payload, seal
from shared.wire.codec import pack, unpack
from shared.wire.messages import Anchor, Announced, LossRow, Receipt

_Item = TypeVar("_Item", Receipt, LossRow, Announced)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A sealed block that waits for its acknowledgement."""

    seq: int
    priority: int
    size: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class Frozen:
    """A report as it will be sent, however often; `blocks` are the ones it announces."""

    envelope: bytes
    digest: bytes
    counter: int
    telemetry_epoch: bytes
    jobs_epoch: bytes
    blocks: tuple[int, ...]
    receipts_to: int = 0
    """The highest receipt it carries; an acknowledgement beyond it frees nothing."""
    ledger_to: int = 0
    anchors: tuple[Anchor, ...] = ()
    schemas: tuple[bytes, ...] = ()
    """sha256 of the channel lists that it vouches for."""


@dataclass(frozen=True, slots=True)
class Had:
    """What a coordinator has that was put back from a copy: all above it is told again."""

    restore_epoch: int
    receipts_to: int
    """Of the jobs store in use; 0: nothing."""
    ledger_to: int
    """Of the telemetry store in use; 0: nothing."""


@dataclass(frozen=True, slots=True)
class Freed:
    """What the agent may forget once this is committed."""

    blocks: Ranges
    rejected: tuple[tuple[int, Reason], ...]
    receipts_to: int
    ledger_to: int
    schemas_wanted: tuple[bytes, ...]
    anchors: tuple[Anchor, ...] = ()
    """True times that the coordinator has: its answer is to a report that carried them."""
    safe_to: int | None = None
    """Blocks below this number are in a verified backup of the coordinator; those that are
    acknowledged and not below it are kept while there is room. None: nothing is kept."""
    had: Had | None = None
    """It comes from a coordinator that was put back since this agent last heard of it."""


def choose_blocks(
    waiting: Sequence[Candidate],
    *,
    budget_bytes: int,
    asked: Ranges | None = None,
    backlog: bool = True,
    gaps: int = 0,
) -> list[Candidate]:
    """Return which blocks the next contact carries, most urgent first.

    Priorities 0 and 1 go first, oldest first. Of the rest, newest and oldest take turns: people
    see the present at once, and the backlog keeps a guaranteed half of every contact. What the
    coordinator `asked` for again counts as oldest. Without `backlog` the newest go, and no turns
    are taken.

    Where what waits lies in very many `gaps` between what has arrived, all go by their numbers: a
    coordinator takes in no more than it can remember apart.
    """
    again = asked or Ranges()
    if gaps > limits.RANGES_OPEN:
        return _fitting(sorted(waiting, key=lambda c: c.seq), budget_bytes)
    urgent = sorted(
        (c for c in waiting if c.priority < _ROUTINE), key=lambda c: (c.priority, c.seq)
    )
    rest = sorted(
        (c for c in waiting if c.priority >= _ROUTINE), key=lambda c: (c.seq not in again, c.seq)
    )
    turns: list[Candidate] = []
    low, high = 0, len(rest) - 1
    while low <= high:
        turns.append(rest[high])
        if low < high and backlog:
            turns.append(rest[low])
            low += 1
        high -= 1
    return _fitting([*urgent, *turns], budget_bytes)


def _fitting(ordered: Sequence[Candidate], budget_bytes: int) -> list[Candidate]:
    """Return as many of the first ones as one contact carries."""
    chosen: list[Candidate] = []
    left = budget_bytes
    for candidate in ordered:
        size = part_bytes(candidate.size) + limits.ANNOUNCED_BYTES
        # One block always goes, even over the budget: a site must never stand still.
        if chosen and size > left:
            break
        chosen.append(candidate)
        left -= size
        if len(chosen) == limits.BLOCKS_PER_REPORT:
            break
    return chosen


def freeze_report(
    base: Report,
    *,
    blocks: Sequence[Candidate],
    receipts: Sequence[Receipt],
    ledger: Sequence[LossRow],
    signer: Signer,
) -> Frozen:
    """Return the signed report made of `base` and as many of the lists as fit.

    Receipts come first, then the ledger, then announcements: outcomes of work are small and
    people wait for them. What does not fit goes with the next report.
    """
    report = fill_report(base, blocks=blocks, receipts=receipts, ledger=ledger)
    envelope = seal(REPORT_TYP, pack(report), [signer])
    assert len(envelope) <= limits.REPORT_BYTES, "a report grew over its bound"
    return _frozen(envelope, report)


def fill_report(
    base: Report,
    *,
    blocks: Sequence[Candidate],
    receipts: Sequence[Receipt],
    ledger: Sequence[LossRow],
    room: int = limits.REPORT_BYTES,
) -> Report:
    """Return `base` with as many of the lists as fit into a document of `room` bytes."""
    room -= _OVERHEAD + len(pack(base))
    kept_receipts, room = _fill(receipts[: limits.RECEIPTS_PER_REPORT], room)
    kept_ledger, room = _fill(ledger[: limits.LEDGER_PER_REPORT], room)
    announced = [Announced(c.seq, c.digest) for c in blocks[: limits.BLOCKS_PER_REPORT]]
    kept_blocks, _ = _fill(announced, room)
    return msgspec.structs.replace(
        base, blocks=kept_blocks, receipts=kept_receipts, ledger=kept_ledger
    )


def thaw(envelope: bytes) -> Frozen:
    """Return a frozen report as it was, from the bytes this agent itself made and kept.

    Raises:
        RefusedError: the bytes are no report; the disk changed them.
    """
    payload = peek_payload(envelope, bound=limits.REPORT_BYTES)
    return _frozen(envelope, unpack(payload, Report, bound=limits.REPORT_BYTES))


def _frozen(envelope: bytes, report: Report) -> Frozen:
    return Frozen(
        envelope=envelope,
        digest=document_hash(envelope),
        counter=report.counter,
        telemetry_epoch=report.telemetry_epoch,
        jobs_epoch=report.jobs_epoch,
        blocks=tuple(block.seq for block in report.blocks),
        receipts_to=max((receipt.number for receipt in report.receipts), default=0),
        ledger_to=max((row.number for row in report.ledger), default=0),
        anchors=tuple(report.anchors),
        schemas=tuple(report.schemas),
    )


_ROUTINE = 2
"""The priority of ordinary readings; lower numbers are more urgent."""

_OVERHEAD = 120
"""Envelope, one signature and the growth of three array headers, rounded up."""


def _fill(items: Sequence[_Item], room: int) -> tuple[list[_Item], int]:
    kept: list[_Item] = []
    for item in items:
        size = len(pack(item))
        if size > room:
            break
        kept.append(item)
        room -= size
    return kept, room


def freed_by(
    reply: Reply, sent: Frozen, *, telemetry_epoch: bytes, jobs_epoch: bytes, heard_epoch: int = 0
) -> Freed:
    """Return what a verified reply to `sent` frees.

    An acknowledgement counts only for what this very report announced or carried, and only
    while the store that numbered it is still the one in use. `heard_epoch` is the highest restore
    epoch that was acted upon before.
    """
    same_telemetry = sent.telemetry_epoch == telemetry_epoch
    same_jobs = sent.jobs_epoch == jobs_epoch
    acked = Ranges.joined((a, b) for a, b in reply.acked if a <= b)
    announced = set(sent.blocks) if same_telemetry else set()
    rejected = tuple(
        (seq, _reason(code)) for seq, code in reply.nacked if seq in announced and seq not in acked
    )
    return Freed(
        blocks=Ranges.of(seq for seq in announced if seq in acked),
        rejected=rejected,
        receipts_to=min(reply.receipts_to, sent.receipts_to) if same_jobs else 0,
        ledger_to=min(reply.ledger_to, sent.ledger_to) if same_telemetry else 0,
        schemas_wanted=tuple(reply.schemas_wanted),
        anchors=sent.anchors,
        safe_to=reply.safe_to if same_telemetry else None,
        had=None
        if reply.restore_epoch <= heard_epoch
        else Had(
            reply.restore_epoch,
            reply.receipts_to if same_jobs else 0,
            reply.ledger_to if same_telemetry else 0,
        ),
    )


def _reason(code: int) -> Reason:
    try:
        return Reason(code)
    except ValueError:
        # A newer coordinator may know reasons that this agent does not.
        return Reason.BLOCK_MALFORMED
