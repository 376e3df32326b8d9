"""Gates: whether what happened is good enough to go on, bad enough to stop, or not enough to tell.

Only members that were reached count. A member is reached once its agent has said anything about
its execution; it has executed once that ended in success or failure, or began and was never heard
of again (LOST). Whoever was not reached delays success and never dilutes failure; who was called
off, superseded, or ran out of time before beginning says nothing about the change at all.

The share of failures is of those that executed, the share of successes of those that were reached.
Both are judged by the one-sided Wilson score bound (E. B. Wilson 1927, "Probable inference, the
law of succession, and statistical inference"): a stage is bad when its true share of failures is,
with the wanted confidence, above the limit. It is good when its true share of successes is, with
that confidence, at least as wanted, or when nobody of it is left to be reached: then the share is
no estimate any more.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

from coordinator.core.rollout_policy import LOST, Criterion, FailureType, Gate
from shared.model.job import ExecutionState

_X = ExecutionState
FAILURES: Final = frozenset(
    {
        *(_X.FAILED, _X.TIMED_OUT, _X.ROLLED_BACK, _X.ROLLBACK_FAILED, _X.REJECTED),
        *(_X.QUARANTINED, LOST),
    }
)
_AT_WORK: Final = frozenset({_X.DELIVERED, _X.HELD, _X.IN_PROGRESS, _X.VERIFYING})
_COUNTED_BY: Final[Mapping[FailureType, frozenset[int]]] = {
    FailureType.ALL: FAILURES,
    FailureType.FAILED: FAILURES - {_X.TIMED_OUT, _X.REJECTED, LOST},
    FailureType.TIMED_OUT: frozenset({_X.TIMED_OUT}),
    FailureType.REJECTED: frozenset({_X.REJECTED}),
    FailureType.LOST: frozenset({LOST}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """Members by what is known of them."""

    unreached: int = 0
    """Released or not, but nobody was heard of; still expected."""
    at_work: int = 0
    succeeded: int = 0
    failed: int = 0
    silent: int = 0
    """Ended without a word about the change: called off, expired, presumed OVERDUE."""

    @property
    def executed(self) -> int:
        """Return how many ended in success or failure."""
        return self.succeeded + self.failed

    @property
    def reached(self) -> int:
        """Return how many were heard of."""
        return self.executed + self.at_work

    @property
    def expected(self) -> int:
        """Return how many may still count."""
        return self.reached + self.unreached


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a gate says: `good`, `bad`, or neither yet; and in words why."""

    good: bool
    bad: bool
    words: str
    settled: bool = False
    """Neither, and nobody is left who could change that: a person has to decide."""


def tally(counts: Mapping[int, int], waiting: int) -> Tally:
    """Sum up a stage from its executions by state and its members without one."""
    return Tally(
        unreached=waiting + counts.get(_X.QUEUED, 0),
        at_work=sum(counts.get(state, 0) for state in _AT_WORK),
        succeeded=counts.get(_X.SUCCEEDED, 0),
        failed=sum(counts.get(state, 0) for state in FAILURES),
        silent=sum(
            number
            for state, number in counts.items()
            if state not in FAILURES | _AT_WORK | {_X.QUEUED, _X.SUCCEEDED}
        ),
    )


def at_least(hits: int, of: int, confidence: float) -> float:
    """Return the lower Wilson bound of a share; confidence 0 returns the share itself.

    >>> round(at_least(19, 20, 0.9), 3)
    0.846
    >>> at_least(0, 0, 0.9)
    0.0
    """
    if not of:
        return 0.0
    share = hits / of
    if not confidence:
        return share
    z = NormalDist().inv_cdf(confidence)
    square = z * z / of
    spread = z * math.sqrt((share * (1 - share) + square / 4) / of)
    return max(0.0, (share + square / 2 - spread) / (1 + square))


def judge(gate: Gate, seen: Tally, planned: int) -> Judgement:
    """Judge a stage that was planned with so many members.

    Its minimum number is never lowered by members who could not be reached: a stage of which
    nobody executed anything is not good.
    """
    if not planned:
        return Judgement(good=True, bad=False, words="it has no members")
    needed = min(max(1, gate.min_executed), planned)
    settled = not seen.unreached and not seen.at_work
    if seen.executed < needed:
        left = f"{seen.unreached} were not reached, {seen.at_work} are at work"
        words = f"{seen.executed} of {needed} needed have ended, {left}"
        return Judgement(good=False, bad=False, words=words, settled=settled)
    surely_failed = 100 * at_least(seen.failed, seen.executed, gate.confidence)
    if surely_failed > gate.error_percentage:
        above = f"surely above {surely_failed:.1f} %, at most {gate.error_percentage:g} % may"
        words = f"{seen.failed} of {seen.executed} failed: {above}"
        return Judgement(good=False, bad=True, words=words)
    share = 100 * seen.succeeded / seen.reached
    surely = 100 * at_least(seen.succeeded, seen.reached, gate.confidence)
    words = f"{seen.succeeded} of {seen.reached} reached succeeded ({share:.1f} %)"
    if seen.unreached:
        words = f"{words}, surely above {surely:.1f} %, {seen.unreached} were not reached"
    if (surely if seen.unreached else share) >= gate.success_percentage:
        return Judgement(good=True, bad=False, words=words)
    words = f"{words}: {gate.success_percentage:g} % are needed"
    return Judgement(good=False, bad=False, words=words, settled=settled)


def tripped(
    criteria: Sequence[Criterion], counts: Mapping[int, int]
) -> tuple[Criterion, str] | None:
    """Return the first criterion that the whole rollout meets, and the sentence that says so."""
    executed = tally(counts, 0).executed
    for one in criteria:
        found = sum(counts.get(state, 0) for state in _COUNTED_BY[one.failure_type])
        enough = executed >= max(1, one.min_executed)
        if enough and 100 * found >= one.threshold_percentage * executed:
            kind = "failed" if one.failure_type is FailureType.ALL else f"are {one.failure_type}"
            limit = f"the limit is {one.threshold_percentage:g} %"
            return one, f"{found} of {executed} {kind}: {limit}"
    return None
