"""The readings of a contact: blocks, the schemas they need, and rows of the loss ledger.

A block is stored as it came, once; its number joins the ranges that were received, in the same
transaction. What a signed report vouches for is answered: acknowledged, or refused for good.
What it does not vouch for is only counted, because whoever carries a contact could have put it
there, and refusing it by number would make the agent set its own good block aside.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import assert_never

from coordinator.core.intake import Incoming
from coordinator.core.ports import (
    Query,
    Row,
    Tx,
    execute,
    execute_many,
    fetch,
    fetch_one,
    fetch_together,
)
from coordinator.transactions.gaps import mind_gaps, safe_to
from coordinator.transactions.happenings import schema_told
from coordinator.transactions.known import with_known
from coordinator.transactions.quota import Quota, load_quota, save_quota
from coordinator.transactions.retime import BootTimes, learn_anchors, place_block
from coordinator.transactions.rows import pack_ranges, unpack_ranges
from shared import limits
from shared.clock import WallMs
from shared.errors import Reason
from shared.ids import AgentId, StoreEpoch
from shared.model.reading import SchemaRef, epoch_ref
from shared.sync.incoming import NACK_REASON, BlockVerdict, acknowledged, judge_block
from shared.sync.ranges import Range, Ranges
from shared.trust.documents import Report
from shared.wire.messages import LossRow


@dataclass(frozen=True, slots=True)
class Stored:
    """What was committed of the readings of a contact."""

    acked: list[tuple[int, int]] = field(default_factory=list)
    nacked: list[tuple[int, int]] = field(default_factory=list)
    ledger_to: int = 0
    schemas_wanted: list[bytes] = field(default_factory=list)
    blocks: int = 0
    readings: int = 0
    duplicates: int = 0
    refused: Mapping[Reason, int] = field(default_factory=dict)
    wanted: list[Range] = field(default_factory=list)
    """Blocks to ask for again, oldest first."""
    safe_to: int = 0
    """Blocks below it are in a verified backup."""
    next_s: int = 0
    """After how many seconds what was over the agent's quota may come; 0: nothing was."""


_Numbers = dict[bytes, int]


@dataclass(slots=True)
class _Shelf:
    """One telemetry store's row while a contact is taken in."""

    received: Ranges
    ledger: Ranges
    times: BootTimes
    quota: Quota
    blocks: int = 0
    bytes: int = 0
    readings: int = 0
    lost: int = 0
    duplicates: int = 0
    arrived: int = 0
    """Readings of blocks that came and are here, new or not."""
    refused: Counter[Reason] = field(default_factory=Counter)
    nacked: list[tuple[int, int]] = field(default_factory=list)
    schemas: set[SchemaRef] = field(default_factory=set)
    """Channel lists that new blocks refer to."""
    announced: _Numbers = field(default_factory=dict)
    """Numbers of the announced blocks by digest, the first of each."""
    inserts: list[tuple[Query, Query]] = field(default_factory=list)
    """New blocks and the orders to roll them up, not yet in the database."""
    unkept: set[int] = field(default_factory=set)
    """Numbers whose bytes found no room beside the first ones: the agent must keep them."""


def store_blocks(
    agent: AgentId,
    report: Report,
    blocks: Sequence[Incoming],
    schemas: Sequence[tuple[SchemaRef, bytes]],
    *,
    now_ms: WallMs,
    newest: bool = True,
    quarantined: bool = False,
    ledger_from: int | None = None,
) -> Tx[Stored]:
    """Commit what can be committed of the readings that came with a report.

    Args:
        agent: whose.
        report: what vouches for them.
        blocks: examined.
        schemas: by reference.
        now_ms: the present.
        newest: the report is the agent's newest; an older one's account of itself is outdated.
        quarantined: two machines speak with this agent's key: what contradicts is kept beside.
        ledger_from: the oldest loss that the agent still keeps; None: the first in the report.
    """
    yield from learn_anchors(agent, report.anchors, now_ms)
    row = yield from fetch_one("telemetry_ranges", agent, report.telemetry_epoch)
    received, ledger = map(unpack_ranges, row) if row else (Ranges(), Ranges())
    quota = yield from load_quota(agent, now_ms)
    wanted = yield from fetch("schemas_wanted", agent, limits.SCHEMAS_WANTED)
    shelf = _Shelf(received, ledger, BootTimes(agent, report, now_ms), quota)
    shelf.announced = {one.digest: one.seq for one in reversed(report.blocks)}
    for block in blocks:
        yield from _take(shelf, agent, report, block, now_ms, quarantined=quarantined)
    if ledger_from is None:
        ledger_from = min((loss.number for loss in report.ledger), default=0)
    shelf.ledger = yield from without_lost(shelf.ledger, ledger_from, heard=report.restore_epoch)
    for loss in report.ledger:
        yield from _list_loss(shelf, agent, report, loss, now_ms)
    are_new = False
    for schema in sorted(shelf.schemas):
        are_new |= (yield from fetch_one("schema_want", agent, schema)) is not None
    saved = yield from _save(shelf, agent, report, newest=newest)
    gone = Query("telemetry_gone", (agent, report.telemetry_epoch))
    gaps = mind_gaps(agent, report, shelf.received, arrived=shelf.arrived, newest=newest)
    asked = yield from with_known(gaps, {gone: saved})
    for ref, data in schemas:
        # Only what some stored block waits for: nobody's word alone makes us keep anything.
        yield from execute("schema_learn", agent, ref, data, now_ms)
        yield from schema_told(agent, data, now_ms)
    if schemas:
        yield from execute("rollup_due_wake", agent)
    if are_new or (wanted and schemas):
        wanted = yield from fetch("schemas_wanted", agent, limits.SCHEMAS_WANTED)
    return Stored(
        acked=_acknowledged(shelf, report),
        nacked=shelf.nacked,
        ledger_to=contiguous(shelf.ledger),
        schemas_wanted=[ref for (ref,) in wanted],
        blocks=shelf.blocks,
        readings=shelf.readings,
        duplicates=shelf.duplicates,
        refused=shelf.refused,
        wanted=asked,
        safe_to=(yield from safe_to(agent, report.telemetry_epoch)),
        next_s=quota.next_s,
    )


def without_lost(numbers: Ranges, oldest: int, *, heard: int) -> Tx[Ranges]:
    """Return the numbers with all below the oldest that an agent still keeps, after a restore.

    It forgets only what was acknowledged: what is missing here below that went with the disk that
    a backup replaced. It keeps the newest of that all the same, and tells it again once it has
    `heard` of the restore; what is missing then will never come.
    """
    if oldest <= 1 or not numbers.missing(1, oldest - 1):
        return numbers
    restored = yield from fetch_one("was_restored")
    if restored is None or heard < restored[0]:
        return numbers
    return Ranges.joined([*numbers, (1, oldest - 1)])


def contiguous(numbers: Ranges) -> int:
    """Return up to which number, from 1, nothing is missing."""
    return numbers.spans[0][1] if numbers.spans and numbers.spans[0][0] == 1 else 0


def _take(
    shelf: _Shelf,
    agent: AgentId,
    report: Report,
    block: Incoming,
    now_ms: WallMs,
    *,
    quarantined: bool,
) -> Tx[None]:
    announced = shelf.announced.get(block.digest)
    if announced is None:
        shelf.refused[Reason.BLOCK_NOT_ANNOUNCED] += 1
        return
    if block.header is None:
        _refuse(shelf, announced, block.reason or Reason.BLOCK_MALFORMED)
        return
    seq = block.header.seq
    stored = None
    if seq in shelf.received:
        yield from _insert(shelf)
        stored = yield from fetch_one("block_digest", agent, report.telemetry_epoch, seq)
    verdict = judge_block(
        report,
        seq=seq,
        epoch_matches=block.header.epoch == epoch_ref(StoreEpoch(report.telemetry_epoch)),
        digest=block.digest,
        received=shelf.received,
        stored_digest=stored[0] if stored else None,
        quarantined=quarantined,
    )
    match verdict:
        case BlockVerdict.STORE if not shelf.quota.admits(block.header, len(block.data)):
            shelf.refused[Reason.STORE_QUOTA] += 1
        case BlockVerdict.STORE:
            shelf.arrived += block.header.count
            yield from _store(shelf, agent, report, block, now_ms)
        case BlockVerdict.DUPLICATE:
            shelf.arrived += block.header.count
            shelf.duplicates += 1
        case BlockVerdict.NOT_ANNOUNCED:
            # The agent vouches for these bytes under another number than they carry.
            _refuse(shelf, announced, Reason.BLOCK_MALFORMED)
        case BlockVerdict.OTHER_EPOCH:
            _refuse(shelf, announced, NACK_REASON[verdict])
        case BlockVerdict.CONFLICT:
            _refuse(shelf, announced, NACK_REASON[verdict])
            yield from _keep_aside(agent, report, block, now_ms, most=limits.BLOCKS_ASIDE)
        case BlockVerdict.APART:
            yield from _keep_aside(agent, report, block, now_ms, most=limits.BLOCKS_APART)
            key = (agent, report.telemetry_epoch, seq, block.digest)
            if (yield from fetch_one("block_aside_exists", *key)) is None:
                # Without room it is not acknowledged: neither machine may lose its readings.
                shelf.unkept.add(seq)
        case _:
            assert_never(verdict)


def _acknowledged(shelf: _Shelf, report: Report) -> list[tuple[int, int]]:
    acked = acknowledged(report, shelf.received)
    if not shelf.unkept:
        return acked
    seqs = (seq for first, last in acked for seq in range(first, last + 1))
    return list(Ranges.of(seq for seq in seqs if seq not in shelf.unkept))


def _refuse(shelf: _Shelf, seq: int, reason: Reason) -> None:
    shelf.refused[reason] += 1
    shelf.nacked.append((seq, reason))


def _store(
    shelf: _Shelf, agent: AgentId, report: Report, block: Incoming, now_ms: WallMs
) -> Tx[None]:
    header = block.header
    assert header is not None, "only a sound block is stored"
    received = shelf.received.add(header.seq)
    if len(received) > limits.RANGES:
        return  # neither acknowledged nor refused: older blocks close the gaps first
    shelf.received = received
    placed = yield from place_block(shelf.times, header)
    values = (
        agent,
        report.telemetry_epoch,
        header.seq,
        block.digest,
        header.priority,
        header.first_ms + placed.shift_ms,
        header.last_ms + placed.shift_ms,
        header.count,
        header.schema,
        now_ms,
        block.data,
        header.boot,
        header.mono_ms,
        header.wall_ms,
        header.clock_state,
        header.err_ms,
        placed.shift_ms,
        placed.sureness,
        placed.err_ms,
        int(header.last_ms - header.first_ms > limits.BLOCK_SPAN_MS),
    )
    shelf.schemas.add(header.schema)
    due = (agent, report.telemetry_epoch, header.seq, placed.shift_ms, now_ms)
    shelf.inserts.append((Query("block_insert", values), Query("rollup_due_insert", due)))
    shelf.blocks += 1
    shelf.bytes += len(block.data)
    shelf.readings += header.count


def _insert(shelf: _Shelf) -> Tx[None]:
    """Bring what was taken so far into the database."""
    if not shelf.inserts:
        return
    for queries in zip(*shelf.inserts, strict=True):
        yield from execute_many(queries[0].name, [query.values for query in queries])
    shelf.inserts.clear()


def _keep_aside(
    agent: AgentId, report: Report, block: Incoming, now_ms: WallMs, *, most: int
) -> Tx[None]:
    assert block.header is not None, "only a sound block can be in conflict"
    yield from execute(
        "block_aside_insert",
        agent,
        report.telemetry_epoch,
        block.header.seq,
        block.digest,
        now_ms,
        block.data,
        most,
    )


def _list_loss(
    shelf: _Shelf, agent: AgentId, report: Report, loss: LossRow, now_ms: WallMs
) -> Tx[None]:
    ledger = shelf.ledger.add(loss.number)
    if loss.number in shelf.ledger or len(ledger) > limits.RANGES:
        return
    shelf.ledger = ledger
    shelf.lost += loss.count
    yield from execute(
        "ledger_insert",
        agent,
        report.telemetry_epoch,
        loss.number,
        loss.reason,
        loss.first_ms,
        loss.last_ms,
        loss.count,
        int(loss.estimated),
        now_ms,
    )


def _save(shelf: _Shelf, agent: AgentId, report: Report, *, newest: bool) -> Tx[Sequence[Row]]:
    """Save new blocks and the store's row; return what `mind_gaps` asks of it."""
    said = report.tally
    values = (
        agent,
        report.telemetry_epoch,
        report.next_block,
        pack_ranges(shelf.received),
        pack_ranges(shelf.ledger),
        shelf.blocks,
        shelf.bytes,
        shelf.readings,
        shelf.lost,
        said.sampled,
        said.suppressed,
        said.delivered,
        said.stored,
        said.lost,
        int(newest),
        limits.ORDINALS,
    )
    queries = [save_quota(shelf.quota)] if shelf.blocks else []
    if len(shelf.inserts) == 1:
        # Nearly every contact: one way to the database and back for all that it changes here.
        queries += shelf.inserts.pop()
    yield from _insert(shelf)
    return (yield from fetch_together([*queries, Query("telemetry_save", values)]))
