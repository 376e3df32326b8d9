"""What the coordinator accepts at a contact: the report's place in its chain, and each block.

Pure: rows come in as values, verdicts go out as values; the transaction writes what they say.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto

from shared.errors import Reason
from shared.sync.ranges import Ranges
from shared.trust.documents import Report


class Chain(Enum):
    """How a report continues what is known of its agent."""

    NEXT = auto()
    """The first of all, or the one after the last."""
    GAP = auto()
    """Later than the next: reports in between were lost (a lost stick); that is no offence."""
    REPEAT = auto()
    """The last one again, byte-identical: its answer was lost."""
    STALE = auto()
    """Older than the last: a replay, or a gateway restored from an old image."""
    FORKED = auto()
    """The last one's number with other bytes: two machines speak with one key."""


@dataclass(frozen=True, slots=True)
class LastReport:
    """What the coordinator keeps of an agent's newest report."""

    counter: int
    digest: bytes


def judge_chain(last: LastReport | None, *, counter: int, previous: bytes, digest: bytes) -> Chain:
    """Return a report's place in its agent's chain."""
    if last is None or counter > last.counter + 1:
        return Chain.NEXT if last is None else Chain.GAP
    if counter == last.counter + 1:
        return Chain.NEXT if previous == last.digest else Chain.FORKED
    if counter == last.counter:
        return Chain.REPEAT if digest == last.digest else Chain.FORKED
    return Chain.STALE


class BlockVerdict(Enum):
    """What becomes of one block that came with a contact."""

    STORE = auto()
    DUPLICATE = auto()
    """Received before with the same digest: acknowledge again, store nothing."""
    CONFLICT = auto()
    """Received before with another digest: refuse, keep aside, never overwrite."""
    NOT_ANNOUNCED = auto()
    """No signed report vouches for these bytes: ignore and count them, never refuse the number.

    Whoever alters a block on its way must not be able to make its agent give it up.
    """
    OTHER_EPOCH = auto()
    """Its header names another store than the report does."""


NACK_REASON: dict[BlockVerdict, Reason] = {
    BlockVerdict.CONFLICT: Reason.BLOCK_CONFLICT,
    BlockVerdict.OTHER_EPOCH: Reason.BLOCK_EPOCH,
}


def judge_block(
    report: Report,
    *,
    seq: int,
    epoch_matches: bool,
    digest: bytes,
    received: Ranges,
    stored_digest: bytes | None,
) -> BlockVerdict:
    """Return what to do with a block whose bytes already passed their checksum.

    Args:
        report: the signed report that came with it.
        seq: the number in the block's own header.
        epoch_matches: whether that header refers to the report's telemetry epoch.
        digest: first 16 bytes of sha256 over the block; compare it with the announcements
            before the header is read at all: only vouched-for bytes may earn a nack.
        received: every number committed before for this agent and epoch.
        stored_digest: the digest of the block stored under this number, None when retention
            has removed it since.
    """
    if not any(item.seq == seq and item.digest == digest for item in report.blocks):
        return BlockVerdict.NOT_ANNOUNCED
    if not epoch_matches:
        return BlockVerdict.OTHER_EPOCH
    if seq in received:
        known = stored_digest is None or stored_digest == digest
        return BlockVerdict.DUPLICATE if known else BlockVerdict.CONFLICT
    return BlockVerdict.STORE


def acknowledged(report: Report, received: Ranges) -> list[tuple[int, int]]:
    """Return which of the announced blocks are committed, as ranges."""
    return list(Ranges.of(item.seq for item in report.blocks if item.seq in received))


def is_empty_contact(report: Report, block_count: int, *, has_bundle: bool) -> bool:
    """Tell whether the reply would carry nothing, so that it may be held back (long-poll)."""
    said: Sequence[object] = [*report.receipts, *report.ledger, *report.blocks]
    return not said and block_count == 0 and not has_bundle
