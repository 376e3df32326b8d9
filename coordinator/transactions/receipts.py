"""Receipts of a contact, folded into the executions and tasks they speak of.

Each is kept as history, once per (agent, jobs store, number), whatever it says. What standing jobs
did is history of its own (`coordinator.transactions.firings`). Leaves out the rules of the fold:
`coordinator.core.reconcile`.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from coordinator.core.ports import Scalar, Tx, execute, fetch, fetch_one
from coordinator.transactions.blocks import contiguous, without_lost
from coordinator.transactions.candidates import note_candidates
from coordinator.transactions.devices import note_facts
from coordinator.transactions.drift import note_drift
from coordinator.transactions.firings import keep_firings, of_device, unheard
from coordinator.transactions.folding import fold_in
from coordinator.transactions.happenings import job_ended, receipt_told
from coordinator.transactions.lost import presume_lost
from coordinator.transactions.rows import pack_ranges, unpack_ranges
from shared import limits
from shared.clock import WallMs
from shared.ids import AgentId
from shared.sync.ranges import Ranges
from shared.wire.codec import pack
from shared.wire.messages import Receipt


@dataclass(frozen=True, slots=True)
class Reconciled:
    """What the receipts of a contact changed."""

    receipts_to: int = 0
    """Highest number up to which this jobs store's receipts are committed without a gap."""
    new: int = 0
    jobs: frozenset[bytes] = frozenset()
    """Jobs whose counts may have changed."""
    outlived: bool = False
    """The agent had another jobs store after this one."""


def reconcile_receipts(
    agent: AgentId,
    epoch: bytes,
    receipts: Sequence[Receipt],
    *,
    now_ms: WallMs,
    oldest: int | None = None,
    heard_epoch: int = 0,
) -> Tx[Reconciled]:
    """Commit the receipts that are new and fold them in.

    `oldest` is the first that the agent still keeps; None: the first of these. `heard_epoch` is
    the last restore that it has heard of.
    """
    ordinal, before, outlived = yield from _store_of(agent, epoch)
    if oldest is None:
        oldest = min((receipt.number for receipt in receipts), default=0)
    received = yield from without_lost(before, oldest, heard=heard_epoch)
    again = [one for one in receipts if one.number in received and not one.is_void]
    new = yield from _of_an_older_card(agent, ordinal, again, now_ms)
    for receipt in receipts:
        grown = received.add(receipt.number)
        if receipt.number in received or len(grown) > limits.RANGES:
            continue
        received = grown
        new[receipt.execution].append(receipt)
        if not receipt.count:
            yield from _keep(agent, ordinal, receipt, now_ms)
        word = of_device(receipt)
        yield from receipt_told(agent, word, now_ms)
        yield from note_facts(agent, word, now_ms)
        yield from note_candidates(agent, receipt, now_ms)
    if received != before:
        yield from execute("jobs_store_save", agent, epoch, pack_ranges(received))
    words = yield from _fold_all(agent, (epoch, ordinal), new, now_ms)
    # Once all is folded in: who mended a device may be told by the same contact.
    yield from note_drift(agent, words, now_ms)
    count = sum(map(len, new.values()))
    return Reconciled(contiguous(received), count, frozenset(words), outlived)


def _store_of(agent: AgentId, epoch: bytes) -> Tx[tuple[int, Ranges, bool]]:
    """Return a jobs store's ordinal, which receipts are known of it, and what `Reconciled` says."""
    row = yield from fetch_one("jobs_store", agent, epoch)
    if row is None:
        row = yield from fetch_one("jobs_store_insert", agent, epoch, pack_ranges(Ranges()))
    assert row is not None, "RETURNING answers the row"
    ordinal, received, outlived = row
    return ordinal, unpack_ranges(received), bool(outlived)


def _fold_all(
    agent: AgentId,
    store: tuple[bytes, int],
    new: Mapping[bytes, Sequence[Receipt]],
    now_ms: WallMs,
) -> Tx[dict[bytes, list[Receipt]]]:
    """Fold facts into the executions they are about; return what each job's say of devices.

    Args:
        agent: whose.
        store: the epoch and the ordinal of its jobs store.
        new: facts by execution.
        now_ms: the present.
    """
    epoch, ordinal = store
    words: dict[bytes, list[Receipt]] = defaultdict(list)
    for execution, facts in new.items():
        row = yield from fetch_one("execution_known", agent, execution)
        job = None if row is None else row[0]
        own = [fact for fact in facts if not fact.count]
        if row is not None and own:
            lost = row[-1] not in {None, b"", epoch}
            ended = yield from fold_in((agent, execution, ordinal), row, own, now_ms, lost=lost)
            if ended:
                yield from job_ended(row[0], now_ms)
        if len(own) < len(facts):
            told = [fact for fact in facts if fact.count]
            yield from keep_firings((agent, execution, ordinal), job, told, now_ms=now_ms)
        if job is not None:
            words[job] += map(of_device, facts)
    return words


def _of_an_older_card(
    agent: AgentId, ordinal: int, again: Sequence[Receipt], now_ms: WallMs
) -> Tx[defaultdict[bytes, list[Receipt]]]:
    """Return what comes under numbers that stand for something else here, by execution.

    Somebody put a store back. What it says is folded in like any other word, though history keeps
    what came first under its number. Of what was begun since its copy it never heard. A number
    without history was a firing's, or was given up: folding its word in once more changes nothing.
    """
    new: defaultdict[bytes, list[Receipt]] = defaultdict(list)
    for firing in (yield from unheard(agent, ordinal, again)):
        new[firing.execution].append(firing)
    again = [receipt for receipt in again if not receipt.count]
    if not again:
        return new
    here = yield from _under_their_numbers(agent, ordinal, again)
    for receipt in again:
        if receipt.number not in here:
            yield from _keep(agent, ordinal, receipt, now_ms)
        if here.get(receipt.number) != _said(receipt):
            new[receipt.execution].append(receipt)
    if any(here.get(one.number, _said(one)) != _said(one) for one in again):
        yield from presume_lost(agent, b"", now_ms)
    return new


def _under_their_numbers(
    agent: AgentId, ordinal: int, again: Sequence[Receipt]
) -> Tx[dict[int, tuple[Scalar, ...]]]:
    """Return what came first under the numbers of receipts, as far as history has it.

    Mostly an answer was lost and the same is told again: that is found with its execution.
    """
    here: dict[int, tuple[Scalar, ...]] = {}
    for execution in dict.fromkeys(receipt.execution for receipt in again):
        span = _span(receipt.number for receipt in again if receipt.execution == execution)
        rows = yield from fetch("receipts_between", agent, execution, ordinal, *span)
        here |= {number: tuple(rest) for number, *rest in rows}
    missing = [receipt.number for receipt in again if receipt.number not in here]
    if missing:
        rows = yield from fetch("receipts_numbered", agent, ordinal, *_span(missing))
        here |= {number: tuple(rest) for number, *rest in rows}
    return here


def _span(numbers: Iterable[int]) -> tuple[int, int]:
    in_order = sorted(numbers)
    return in_order[0], in_order[-1]


def _said(receipt: Receipt) -> tuple[bytes, str, int, int, int]:
    return receipt.execution, receipt.device, receipt.state, receipt.attempt, receipt.wall_ms


def _keep(agent: AgentId, ordinal: int, receipt: Receipt, now_ms: WallMs) -> Tx[None]:
    yield from execute(
        "receipt_insert",
        agent,
        ordinal,
        receipt.number,
        receipt.execution,
        receipt.device,
        receipt.state,
        receipt.attempt,
        receipt.reason,
        receipt.wall_ms,
        receipt.detail,
        pack(receipt.result),
        now_ms,
    )
