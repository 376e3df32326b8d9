"""What is known about an execution, folded from the facts its agent signed.

A fact replaces another about the same thing when it ranks higher: a terminal one above any that
is not, then the newer jobs store, then the higher receipt number. That is the maximum of a total
order, so facts may come in any order, any number of times, in any batches, and the outcome is
the same. What the coordinator itself supposed (queued, overdue) gives way to any fact. Of more
devices than an execution may touch those with the first names are kept, which depends on no order
either.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from shared import limits
from shared.model.job import (
    TERMINAL_EXECUTION,
    TERMINAL_TASK,
    ExecutionState,
    TaskState,
    Value,
)
from shared.wire.messages import Receipt

REPORTABLE = (TERMINAL_EXECUTION - {ExecutionState.REMOVED}) | {
    ExecutionState.DELIVERED,
    ExecutionState.HELD,
    ExecutionState.IN_PROGRESS,
    ExecutionState.VERIFYING,
}
"""The execution states an agent can know."""
CANCEL: Final = "cancel"
"""Where the result of an agent's receipt says how a calling off came out."""
NEVER_DELIVERED: Final = "never_delivered"
STOPPED: Final = "stopped"
"""At a safe point; what was done until then is in the history."""
TOO_LATE: Final = "too_late"
UNKNOWN: Final = "unknown"
"""It may have run before the agent lost its memory of what did."""
OUTCOMES: Final = frozenset({NEVER_DELIVERED, "not_started", STOPPED, TOO_LATE})
OPEN_BELOW = 10
"""States below this number are neither terminal nor given up as OVERDUE; queries rely on it."""
assert all(
    (state < OPEN_BELOW) is not (state in TERMINAL_EXECUTION or state is ExecutionState.OVERDUE)
    for state in ExecutionState
), "a new execution state needs a number on the right side"


@dataclass(frozen=True, slots=True, order=True)
class Rank:
    """How a fact compares with others about the same execution or task."""

    terminal: bool
    epoch: int
    """Ordinal of the jobs store that numbered it, from 1; a later store knows better."""
    number: int
    """Receipt number within that store."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskKnown:
    """The winning fact about one device of an execution."""

    state: TaskState
    rank: Rank
    attempt: int
    reason: int
    detail: str
    result: Mapping[str, Value]


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known about one execution."""

    state: ExecutionState
    reason: int = 0
    detail: str = ""
    since_ms: int | None = None
    """By the agent's clock, None while the state is the coordinator's own."""
    rank: Rank | None = None
    """Of the fact that set the state, None while the state is the coordinator's own."""
    tasks: Mapping[str, TaskKnown] = field(default_factory=dict)
    """By device."""


def how_it_stopped(
    known: Known, receipts: Iterable[Receipt], *, asked: bool, before: str, lost: bool = False
) -> str:
    """Return how the calling off of an execution came out, empty while nobody knows.

    What the agent proves in a receipt stays, whatever it says once more after a loss; an execution
    that ended otherwise was called off too late.

    Args:
        known: what is known with these receipts counted in.
        receipts: the newest facts about the execution.
        asked: it was called off here.
        before: what was known of this before.
        lost: the agent lost the store that it was first signed for, and its memory with it.
    """
    for receipt in receipts:
        said = receipt.result.get(CANCEL)
        if receipt.state == ExecutionState.CANCELED and not receipt.device and said in OUTCOMES:
            return UNKNOWN if lost and said == NEVER_DELIVERED else str(said)
    if before or not asked or known.state not in TERMINAL_EXECUTION:
        return before
    return STOPPED if known.state is ExecutionState.CANCELED else TOO_LATE


def fold(known: Known, receipts: Iterable[Receipt], *, epoch: int) -> Known:
    """Return what is known once these receipts are counted in.

    A receipt that names a state no agent can know is history without effect.

    Args:
        known: what was known before.
        receipts: facts about this execution or its tasks, in any order.
        epoch: ordinal of the jobs store that numbered them.
    """
    for receipt in receipts:
        known = _with_task(known, receipt, epoch) if receipt.device else _own(known, receipt, epoch)
    return known


def _own(known: Known, receipt: Receipt, epoch: int) -> Known:
    try:
        state = ExecutionState(receipt.state)
    except ValueError:
        return known
    rank = Rank(state in TERMINAL_EXECUTION, epoch, receipt.number)
    if state not in REPORTABLE or (known.rank is not None and rank <= known.rank):
        return known
    return replace(
        known,
        state=state,
        reason=receipt.reason,
        detail=receipt.detail,
        since_ms=receipt.wall_ms,
        rank=rank,
    )


def _with_task(known: Known, receipt: Receipt, epoch: int) -> Known:
    try:
        state = TaskState(receipt.state)
    except ValueError:
        return known
    before = known.tasks.get(receipt.device)
    rank = Rank(state in TERMINAL_TASK, epoch, receipt.number)
    if before is not None and rank <= before.rank:
        return known
    task = TaskKnown(
        state=state,
        rank=rank,
        attempt=receipt.attempt,
        reason=receipt.reason,
        detail=receipt.detail,
        result=receipt.result,
    )
    tasks = {**known.tasks, receipt.device: task}
    if len(tasks) > limits.TASKS_PER_EXECUTION:
        # No agent has more. Which ones stay follows from their names alone, as facts have no order.
        tasks = {device: tasks[device] for device in sorted(tasks)[: limits.TASKS_PER_EXECUTION]}
    known = replace(known, tasks=tasks)
    if known.rank is None:
        # The fact about the execution itself is still on the way; it has begun, that is sure.
        known = replace(known, state=ExecutionState.IN_PROGRESS, reason=0)
    return known
