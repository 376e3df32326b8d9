"""What goes onto a stick, and what one brings, as values.

Pure: the stores give what there is, the service reads and writes. Leaves out the file
(`shared.sync.stick`) and the documents (`shared.trust.carried`).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec

from agent.core.contact import Answer
from shared import limits
from shared.errors import Reason, RefusedError
from shared.ids import KeyId, key_id
from shared.sync.body import Part, PartKind, part_bytes
from shared.sync.outgoing import Candidate, Freed, Had, fill_report
from shared.sync.piece import Piece, read_piece
from shared.sync.ranges import Ranges
from shared.sync.stick import Direction, StickHeader
from shared.trust.carried import CARRIED_TYP, Carried, Return
from shared.trust.documents import Report, Root
from shared.trust.envelope import Signer, seal
from shared.wire.codec import pack
from shared.wire.messages import LossRow, Receipt

CARRIED_ROOM = limits.REPORT_BYTES - 40
"""A carried report is a report with three numbers and a longer name."""
PARCEL_BLOCK_BYTES = 786_432
"""Blocks of one parcel: with the largest block behind them they are below a contact's bound."""
SCHEMA_ROOM = 65_536
"""Schemas go into every parcel while they are this small, so that each stands for itself."""
SCHEMAS_TOGETHER = 8
"""A report vouches for each schema beside it with 34 bytes."""
PARCEL_OVER = limits.REPORT_BYTES + 256
"""What a parcel has besides blocks and schemas, rounded up."""


def header_up(root: Root) -> StickHeader:
    """Return the header of a stick for the coordinator."""
    return StickHeader(Direction.UP, root.fleet, KeyId(key_id(root.carrier)))


def choose_parcel(waiting: Sequence[Candidate], *, room: int) -> list[Candidate]:
    """Return the first of these blocks that one parcel takes, in their order.

    One block always goes while it fits into `room`, the bytes that are left for blocks on the
    stick: a parcel may hold any single block.
    """
    chosen: list[Candidate] = []
    left = min(room, PARCEL_BLOCK_BYTES)
    for candidate in waiting[: limits.BLOCKS_PER_REPORT]:
        size = part_bytes(candidate.size)
        if size > left and (chosen or size > room):
            break
        chosen.append(candidate)
        left -= size
    return chosen


def make_carried(
    base: Report,
    *,
    number: int,
    blocks: Sequence[Candidate],
    receipts: Sequence[Receipt],
    receipts_from: int,
    ledger: Sequence[LossRow],
    ledger_from: int,
    signer: Signer,
) -> tuple[bytes, Report]:
    """Return the envelope of a carried report, and what found room in it."""
    newest = msgspec.structs.replace(base, counter=base.counter - 1)
    report = fill_report(newest, blocks=blocks, receipts=receipts, ledger=ledger, room=CARRIED_ROOM)
    carried = Carried(number, report, receipts_from, ledger_from)
    envelope = seal(CARRIED_TYP, pack(carried), [signer])
    assert len(envelope) <= limits.REPORT_BYTES, "a carried report grew over its bound"
    return envelope, report


def pack_parcel(envelope: bytes, schemas: Iterable[bytes], blocks: Iterable[bytes]) -> list[Part]:
    """Return the parts of a parcel."""
    return [
        Part(PartKind.CARRIED, envelope),
        *(Part(PartKind.SCHEMA, data) for data in schemas),
        *(Part(PartKind.BLOCK, data) for data in blocks),
    ]


def read_files(parts: Sequence[Part]) -> list[Piece]:
    """Return the pieces of files of a parcel that holds nothing else; none of another parcel.

    Raises:
        RefusedError: BODY_MALFORMED: a piece is none.
    """
    if not parts or any(part.kind is not PartKind.FILE for part in parts):
        return []
    return [read_piece(part.data) for part in parts]


@dataclass(frozen=True, slots=True)
class Brought:
    """What one parcel from the coordinator holds; any number of bundles, lowest first."""

    answer: Answer
    bundles: tuple[bytes, ...]


_ONCE = (PartKind.RETURN, PartKind.CATALOG, PartKind.POLICY)


def read_parcel(parts: Sequence[Part]) -> Brought:
    """Return the documents of a parcel from the coordinator.

    Raises:
        RefusedError: BODY_MALFORMED: it is not roots, one return, at most one each of catalog
            and policy, and bundles.
    """
    found: dict[PartKind, list[bytes]] = {}
    for part in parts:
        found.setdefault(part.kind, []).append(part.data)
    many = {PartKind.ROOT, PartKind.BUNDLE}
    once = all(len(found.get(kind, [])) <= 1 for kind in _ONCE)
    if not once or PartKind.RETURN not in found or not found.keys() <= {*many, *_ONCE}:
        raise RefusedError(Reason.BODY_MALFORMED, "a parcel is a return and what belongs to it")
    answer = Answer(
        roots=tuple(found.get(PartKind.ROOT, ())),
        reply=found[PartKind.RETURN][0],
        catalog=next(iter(found.get(PartKind.CATALOG, ())), None),
        policy=next(iter(found.get(PartKind.POLICY, ())), None),
        bundle=None,
    )
    return Brought(answer, tuple(found.get(PartKind.BUNDLE, ())))


def freed_by_return(
    answer: Return,
    *,
    telemetry_epoch: bytes,
    jobs_epoch: bytes,
    sealed: int,
    rows: int,
    told: int,
    heard_epoch: int = 0,
) -> Freed:
    """Return what a verified return frees.

    It speaks of what carried reports announced, by number; only while the store that numbered
    the blocks is still the one in use.

    Args:
        answer: verified.
        telemetry_epoch: of the store in use.
        jobs_epoch: the same.
        sealed: the highest number that a block had when the report was made that the return names;
            0: nobody here remembers making it. An older card may be in the box, whose blocks get
            the numbers that the return speaks of and hold other readings: they stay.
        rows: the same of the loss ledger.
        told: the highest number that a receipt had before the return came; 0 as above. One that
            speaks of higher ones speaks of a later time of this store: an older card is in the box,
            and its numbers stand for something else.
        heard_epoch: the highest restore epoch that was acted upon before.
    """
    mine = answer.telemetry_epoch == telemetry_epoch
    spans = [(max(1, a), min(b, sealed)) for a, b in answer.acked] if mine else []
    acked = Ranges.joined((a, b) for a, b in spans if a <= b)
    rejected = tuple(
        (seq, _reason(code))
        for seq, code in (answer.nacked if mine else [])
        if 1 <= seq <= sealed and seq not in acked
    )
    ours = answer.jobs_epoch == jobs_epoch and answer.receipts_to <= told
    receipts_to = answer.receipts_to if ours else 0
    ledger_to = min(answer.ledger_to, rows) if mine else 0
    again = answer.restore_epoch > heard_epoch
    return Freed(
        blocks=acked,
        rejected=rejected,
        receipts_to=receipts_to,
        ledger_to=ledger_to,
        schemas_wanted=tuple(answer.schemas_wanted) if mine else (),
        safe_to=answer.safe_to if mine else None,
        had=Had(answer.restore_epoch, receipts_to, ledger_to) if again else None,
    )


def _reason(code: int) -> Reason:
    return Reason(code) if code in set(Reason) else Reason.BLOCK_MALFORMED
