"""What the coordinator accepts at a contact: the report's place in its chain, and each block.

Pure: rows come in as values, verdicts go out as values; the transaction writes what they say.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto

from shared import limits
from shared.errors import Reason
from shared.sync.ranges import Ranges
from shared.trust.documents import Report
from shared.wire.messages import Tally


class Chain(Enum):
    """How a report continues what is known of its agent."""

    NEXT = auto()
    """The first of all, or the one after the last."""
    GAP = auto()
    """Later than the next: reports in between were lost (a lost stick); that is no offence."""
    REPEAT = auto()
    """The last one again, byte-identical: its answer was lost."""
    LOST = auto()
    """From a new store whose owner has proven to be alive: the agent lost the old one."""
    STALE = auto()
    """A report of this chain that is known by its hash: a stick that came twice, or a replay."""
    LATE = auto()
    """Older than the last, or from another store, and never seen: a stick that was found again, a
    replay from before memory, a gateway that was set back or that lost its store. The answer to
    it will tell (`Memory.stray`)."""
    CLONE = auto()
    """Two machines speak with one key, or one that was set back to an old image."""


ADVANCES = frozenset({Chain.NEXT, Chain.GAP, Chain.LOST})
"""The report becomes the last one known; of every other one only its content is taken in."""
_GRANTED = frozenset({Chain.NEXT, Chain.GAP, Chain.REPEAT, Chain.LOST})


@dataclass(frozen=True, slots=True)
class LastReport:
    """What the coordinator keeps of an agent's newest report."""

    counter: int
    digest: bytes
    jobs_epoch: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What the coordinator remembers of older reports, as far as it matters for this one."""

    here: bytes | None
    """Digest of the report remembered under the arriving one's number and jobs epoch."""
    before: bytes | None
    """The same under the number before it."""
    left: bool
    """The agent had this jobs epoch earlier and then declared it lost."""
    stray: bool
    """It repeats the hash of an answer to a LATE report (since the last LOST): whoever sent that
    one is alive and holds the key, for nobody else can know the answer and sign its hash."""


def judge_chain(
    last: LastReport | None,
    *,
    counter: int,
    previous: bytes,
    digest: bytes,
    jobs_epoch: bytes,
    memory: Memory,
) -> Chain:
    """Return a report's place in its agent's chain.

    Evidence of a clone is only what an honest agent cannot have signed, so that nobody who merely
    replays what an agent once sent can have it quarantined: two reports of one number, two
    predecessors of one report, or an answer to a question that this chain never asked. A store
    that is declared lost likewise counts only once its sender has answered an answer.
    """
    if last is None:
        return Chain.NEXT
    here, before = memory.here, memory.before
    if jobs_epoch == last.jobs_epoch:
        here = last.digest if counter == last.counter else here
        before = last.digest if counter == last.counter + 1 else before
    if here not in {None, digest} or before not in {None, previous}:
        return Chain.CLONE
    new_store = jobs_epoch != last.jobs_epoch and not memory.left
    if memory.stray:
        return Chain.LOST if new_store else Chain.CLONE
    seen = here is not None
    if jobs_epoch != last.jobs_epoch:
        return Chain.STALE if seen else Chain.LATE
    if counter > last.counter:
        return Chain.NEXT if counter == last.counter + 1 else Chain.GAP
    if counter == last.counter:
        return Chain.REPEAT
    return Chain.STALE if seen else Chain.LATE


def remembered(report: Report, digest: bytes) -> tuple[tuple[int, bytes], ...]:
    """Return the (number, digest) pairs a report teaches: its own, and its predecessor's.

    Kept per agent and jobs epoch, the newest `limits.REPORTS_REMEMBERED` of them.
    """
    own = (report.counter, digest)
    return (own, (report.counter - 1, report.previous)) if report.previous else (own,)


def may_grant(chain: Chain, *, attested: bool, quarantined: bool) -> bool:
    """Tell whether work may be signed for the sender of a report.

    A quarantine stops grants, never ingest: what both branches say is taken in and kept apart,
    so a thief cannot silence the site he stole from. Only a person ends it.
    """
    return chain in _GRANTED and attested and not quarantined


def may_sign(*, signed_under: bytes | None, jobs_epoch: bytes, idempotent: bool) -> bool:
    """Tell whether an execution may be signed for an agent, for the first time or once more.

    An agent knows executions by their id, so once more does no harm while it still has the store
    it had then. After a loss it cannot know what ran; then only what may be done twice goes out
    again, and of the rest a person is told that the effect is unknown.

    Args:
        signed_under: the agent's jobs epoch when it was first signed; None: it never was. After
            a restore from a backup nobody knows: the newest epoch the backup knows of, or empty.
        jobs_epoch: the agent's jobs epoch now.
        idempotent: doing it again leaves every device as doing it once did.
    """
    return idempotent or signed_under in {None, jobs_epoch}


def is_stray_answer(chain: Chain) -> bool:
    """Tell whether the answer's hash has to be remembered (`limits.STRAY_REPLIES` of them)."""
    return chain is Chain.LATE


def wanted_again(report: Report, received: Ranges) -> list[tuple[int, int]]:
    """Return which blocks to ask for: made, not accounted for here, and not announced right now.

    After a restore from a backup these are the ones that the lost disk had; oldest first.
    `received` holds what is committed and what the agent said before is gone.
    """
    known = [*received, *((first, last) for first, last in report.gone if first <= last)]
    known += [(block.seq, block.seq) for block in report.blocks]
    return list(Ranges.joined(known).missing(1, report.next_block - 1))[: limits.WANTED_RANGES]


def is_gap_unexplained(said: Tally, *, readings: int, arrived: int) -> bool:
    """Tell whether blocks that are missing have to be asked for.

    Most gaps explain themselves: a backlog is sent newest and oldest first, and closes them. What
    is asked for is what the agent will not send by itself: it takes more for delivered than is
    here, or it has less left to send than one block holds.

    Args:
        said: the agent's account in its report.
        readings: committed of its telemetry store.
        arrived: of those, in the blocks that this report announced.
    """
    return said.delivered > readings or said.stored - arrived < limits.BLOCK_POINTS


class BlockVerdict(Enum):
    """What becomes of one block that came with a contact."""

    STORE = auto()
    DUPLICATE = auto()
    """Received before with the same digest: acknowledge again, store nothing."""
    CONFLICT = auto()
    """Received before with another digest: refuse, keep aside, never overwrite."""
    APART = auto()
    """The same from an agent in quarantine: store it beside the first and acknowledge it. Either
    of the two may be the real site's, and neither may make the other give up its readings."""
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
    quarantined: bool = False,
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
        quarantined: two machines speak with this agent's key.
    """
    if not any(item.seq == seq and item.digest == digest for item in report.blocks):
        return BlockVerdict.NOT_ANNOUNCED
    if not epoch_matches:
        return BlockVerdict.OTHER_EPOCH
    if seq in received:
        known = stored_digest is None or stored_digest == digest
        if known:
            return BlockVerdict.DUPLICATE
        return BlockVerdict.APART if quarantined else BlockVerdict.CONFLICT
    return BlockVerdict.STORE


def acknowledged(report: Report, received: Ranges) -> list[tuple[int, int]]:
    """Return which of the announced blocks are committed, as ranges."""
    return list(Ranges.of(item.seq for item in report.blocks if item.seq in received))


def is_empty_contact(report: Report, block_count: int, *, has_bundle: bool) -> bool:
    """Tell whether the reply would carry nothing, so that it may be held back (long-poll)."""
    said: Sequence[object] = [*report.receipts, *report.ledger, *report.blocks, *report.gone]
    return report.attested and not said and block_count == 0 and not has_bundle
