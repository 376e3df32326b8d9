"""What a rollout does next: a decision from its policy, its progress, the counts and the time.

Pure and repeatable: the dispatcher loads, decides and saves in one transaction, whenever something
happened or the decision said so. A rollout that ended is never asked to release anything again,
whatever late facts say: they only count. Leaves out how gates judge (`gates`), rates (`caps`) and
who is in which stage (`cohorts`).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from msgspec.structs import replace

from coordinator.core.caps import room, within_minute
from coordinator.core.gates import FAILURES, Tally, judge, tally, tripped
from coordinator.core.reconcile import OPEN_BELOW
from coordinator.core.rollout_policy import (
    LOST,
    OPEN,
    ErrorAction,
    Gate,
    Policy,
    Progress,
    RolloutState,
    StageState,
    Stragglers,
)
from shared.model.job import ExecutionState

JOIN_MS = 60_000
"""Between two looks at who joined the targets of a continuous rollout."""


@dataclass(frozen=True, slots=True)
class StageFacts:
    """What is known of one stage."""

    counts: Mapping[int, int]
    """Its executions by state; `rollout_policy.LOST` is one."""
    waiting: int
    """Its members that were not released."""
    planned: int
    """Members it was planned with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known of a rollout."""

    stages: Sequence[StageFacts]
    not_after_ms: int
    """After that nothing of it may begin."""
    canceled: bool = False
    """The job was called off."""

    @property
    def counts(self) -> Counter[int]:
        """Return all executions by state."""
        total: Counter[int] = Counter()
        for stage in self.stages:
            total.update(stage.counts)
        return total

    @property
    def members(self) -> int:
        """Return how many it is for."""
        return sum(one.waiting + sum(one.counts.values()) for one in self.stages)


@dataclass(frozen=True, slots=True)
class Release:
    """Let so many of the opened stages go, the earliest first."""

    members: int


@dataclass(frozen=True, slots=True)
class PutOff:
    """Take back what nobody was reached for: its members join the next stage, or are dropped."""

    stage: int
    drop: bool
    waiting: bool = True
    """Those that were not even released too."""


@dataclass(frozen=True, slots=True)
class CallOff:
    """Cancel the job everywhere."""


@dataclass(frozen=True, slots=True)
class RollBack:
    """Cancel the job everywhere and undo it where it succeeded."""


Act: TypeAlias = Release | PutOff | CallOff | RollBack


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What to do, and when to ask again though nothing happens; `due_ms` 0: then never."""

    progress: Progress
    acts: Sequence[Act] = ()
    due_ms: int = 0
    words: Sequence[str] = field(default_factory=tuple)
    """What it waits for, for people."""


def decide(policy: Policy, progress: Progress, facts: Facts, now_ms: int) -> Decision:
    """Return what follows from what is known now."""
    if progress.state not in OPEN:
        return Decision(progress=progress)
    ended = _ended(policy, progress, facts, now_ms)
    if ended is not None:
        return ended
    if now_ms < policy.start_ms:
        return Decision(progress=progress, due_ms=policy.start_ms, words=["its time will come"])
    if progress.state is RolloutState.READY:
        progress = replace(
            progress,
            state=RolloutState.RUNNING,
            opened_ms=now_ms,
            accepted=(0,) * len(policy.stages),
        )
    progress = _still_soaking(policy, progress, facts)
    stopped = _too_bad(policy, progress, facts)
    if stopped is not None:
        return _with_due(stopped, policy, facts, 0)
    if progress.state is RolloutState.PAUSED:
        return _with_due(Decision(progress=progress, words=[progress.why]), policy, facts, 0)
    return _run(policy, progress, facts, now_ms)


def _ended(policy: Policy, progress: Progress, facts: Facts, now_ms: int) -> Decision | None:
    """Return the end that came from outside."""
    if facts.canceled:
        why = progress.why or "its job was called off"
        return Decision(progress=replace(progress, state=RolloutState.STOPPED, why=why))
    if 0 < policy.end_ms <= min(now_ms, facts.not_after_ms):
        # Before the job's own time, which may be over too where nobody looked for a while.
        why = "its end has come"
        if progress.state is RolloutState.PAUSED and not policy.cancels_at_end:
            why = f"{why}; what its pause held back is not signed any more"
        after = replace(progress, state=RolloutState.EXPIRED, why=why)
        return Decision(progress=after, acts=[CallOff()] if policy.cancels_at_end else [])
    if now_ms >= facts.not_after_ms:
        why = "the time in which its job may begin is over"
        return Decision(progress=replace(progress, state=RolloutState.EXPIRED, why=why))
    return None


def _still_soaking(policy: Policy, progress: Progress, facts: Facts) -> Progress:
    """Return the progress, without its soak where its gate is not met any more, paused or not."""
    stage = progress.stage
    if progress.stage_state is not StageState.SOAKING:
        return progress
    said = judge(policy.gate or Gate(), seen_of(facts, stage), facts.stages[stage].planned)
    return progress if said.good else replace(progress, stage_state=StageState.RUNNING)


def _too_bad(policy: Policy, progress: Progress, facts: Facts) -> Decision | None:
    """Return the stop that a gate of any opened stage, or a criterion, demands."""
    failures = failures_by_stage(facts)
    worse = [
        position
        for position in range(progress.stage + 1)
        if failures[position] > _accepted(progress, position)
    ]
    for position in worse:
        if policy.gate is None:
            break
        seen, planned = seen_of(facts, position), facts.stages[position].planned
        said = judge(policy.gate, seen, planned)
        if said.bad:
            why = f"stage {policy.stages[position].name}: {said.words}"
            return _stop(policy, progress, facts, (policy.gate.error_action, why))
    found = tripped(policy.abort, facts.counts) if worse else None
    return None if found is None else _stop(policy, progress, facts, (found[0].action, found[1]))


def _stop(
    policy: Policy, progress: Progress, facts: Facts, demand: tuple[ErrorAction, str]
) -> Decision | None:
    """Return the stop, None where there is nothing left that could be stopped."""
    action, why = demand
    over = progress.stage + 1 == len(policy.stages) and all_over(facts)
    if over and action is not ErrorAction.ROLLBACK:
        return None
    state, acts = _STOPS[action]
    return Decision(progress=replace(progress, state=state, why=why), acts=acts, words=[why])


_STOPS: Mapping[ErrorAction, tuple[RolloutState, Sequence[Act]]] = {
    ErrorAction.PAUSE: (RolloutState.PAUSED, ()),
    ErrorAction.CANCEL: (RolloutState.STOPPED, (CallOff(),)),
    ErrorAction.ROLLBACK: (RolloutState.ROLLED_BACK, (RollBack(),)),
}


def _run(policy: Policy, progress: Progress, facts: Facts, now_ms: int) -> Decision:
    """Open stages as far as gates allow, then release what the limits allow."""
    acts: list[Act] = []
    words: list[str] = []
    due_ms = 0
    last = len(policy.stages) - 1
    while progress.stage < last:
        going, put_off, said, due_ms = _pass_gate(policy, progress, facts, now_ms)
        words = [said] if said else []
        acts += put_off
        if put_off:
            # Its members move first; the gate is judged without them when that is committed.
            return Decision(progress=going, acts=acts, due_ms=now_ms, words=words)
        progress = going
        if progress.state is RolloutState.PAUSED:
            return _with_due(Decision(progress=progress, words=[progress.why]), policy, facts, 0)
        if progress.stage_state is not StageState.FINISHED:
            break
        if policy.stages[progress.stage].pauses and not progress.skip_gate:
            why = f"stage {policy.stages[progress.stage].name} is good; it was to wait for you"
            after = replace(progress, state=RolloutState.PAUSED, why=why)
            return _with_due(Decision(progress=after, words=[why]), policy, facts, 0)
        progress = open_stage(progress, progress.stage + 1, now_ms)
    else:
        drop = _last_stragglers(policy, progress, facts, now_ms)
        if drop is not None:
            return Decision(progress=progress, acts=[drop], due_ms=now_ms)
        due_ms = _reach_due(policy, progress, facts, now_ms)
    if progress.stage == last and all_over(facts) and not policy.continuous:
        after = replace(progress, state=RolloutState.FINISHED, why="")
        return Decision(progress=after)
    waiting_for = Decision(progress=progress, due_ms=due_ms, words=words)
    return _release(policy, waiting_for, facts, now_ms)


def _release(policy: Policy, before: Decision, facts: Facts, now_ms: int) -> Decision:
    """Return a decision that also releases what the limits allow."""
    progress, due_ms, words = before.progress, before.due_ms, before.words
    counts = facts.counts
    free = room(
        policy,
        progress.recent,
        members=facts.members,
        open_now=open_in(counts),
        succeeded=counts[ExecutionState.SUCCEEDED],
        now_ms=now_ms,
    )
    waiting = sum(one.waiting for one in facts.stages[: progress.stage + 1])
    number = min(free.members, waiting)
    if waiting > number:
        words = [*words, f"{waiting - number} wait for their turn: {free.words}".rstrip(": ")]
        due_ms = _earliest(due_ms, free.again_ms)
    progress = replace(progress, recent=within_minute(progress.recent, now_ms))
    if policy.continuous:
        due_ms = _earliest(due_ms, now_ms + JOIN_MS)
    decision = Decision(
        progress=progress,
        acts=[Release(number)] if number else [],
        due_ms=due_ms,
        words=words,
    )
    return _with_due(decision, policy, facts, due_ms)


def _pass_gate(
    policy: Policy, progress: Progress, facts: Facts, now_ms: int
) -> tuple[Progress, list[Act], str, int]:
    """Return the progress of a stage before the last, its stragglers' fate, words and due time."""
    if progress.skip_gate or progress.stage_state is StageState.FINISHED:
        return replace(progress, stage_state=StageState.FINISHED), [], "", 0
    gate = policy.gate or Gate()
    stage = facts.stages[progress.stage]
    seen = seen_of(facts, progress.stage)
    name = policy.stages[progress.stage].name
    due_ms = _reach_due(policy, progress, facts, now_ms)
    said = judge(gate, seen, stage.planned)
    if not said.good:
        late = gate.reach_ms and now_ms >= progress.opened_ms + gate.reach_ms
        if late and seen.unreached and gate.stragglers is not Stragglers.WAIT:
            drop = gate.stragglers is Stragglers.DROP
            return progress, [PutOff(progress.stage, drop)], "", 0
        words = f"stage {name}: {said.words}"
        if said.settled:
            # Each time that somebody lets it go on: else it would wait in silence for ever.
            why = f"{words}, and nobody is left; cancel it, or advance if you know better"
            progress = replace(progress, state=RolloutState.PAUSED, why=why)
        return progress, [], words, due_ms
    if progress.stage_state is StageState.RUNNING and gate.soak_ms:
        progress = replace(progress, stage_state=StageState.SOAKING, soak_since_ms=now_ms)
    over_ms = progress.soak_since_ms + gate.soak_ms
    if gate.soak_ms and now_ms < over_ms:
        left = -((now_ms - over_ms) // 60_000)
        return progress, [], f"stage {name}: {said.words}; it soaks {left} min more", over_ms
    return replace(progress, stage_state=StageState.FINISHED), [], "", 0


def _reach_due(policy: Policy, progress: Progress, facts: Facts, now_ms: int) -> int:
    gate = policy.gate
    if gate is None or not gate.reach_ms or gate.stragglers is Stragglers.WAIT:
        return 0
    stage = facts.stages[progress.stage]
    due_ms = progress.opened_ms + gate.reach_ms
    unreached = tally(stage.counts, stage.waiting).unreached
    return due_ms if unreached and due_ms > now_ms else 0


def _last_stragglers(
    policy: Policy, progress: Progress, facts: Facts, now_ms: int
) -> PutOff | None:
    """Return what becomes of the last stage's stragglers: nobody is left to carry them to."""
    gate, stage = policy.gate, facts.stages[progress.stage]
    if gate is None or not gate.reach_ms or gate.stragglers is not Stragglers.DROP:
        return None
    late = now_ms >= progress.opened_ms + gate.reach_ms
    if late and tally(stage.counts, 0).unreached:
        return PutOff(progress.stage, drop=True, waiting=False)
    return None


def open_stage(progress: Progress, stage: int, now_ms: int) -> Progress:
    """Return the progress with the next stage opened."""
    return replace(
        progress,
        stage=stage,
        stage_state=StageState.RUNNING,
        opened_ms=now_ms,
        soak_since_ms=0,
        skip_gate=False,
    )


def resume(progress: Progress, facts: Facts, *, advance: bool) -> Progress:
    """Return the progress once a person let it go on, though he saw what failed.

    `advance`: the present stage is good enough for him whatever its gate says.
    """
    skip = advance or progress.stage_state is StageState.FINISHED
    return replace(
        progress,
        state=RolloutState.RUNNING if progress.opened_ms else RolloutState.READY,
        why="",
        accepted=tuple(failures_by_stage(facts)),
        skip_gate=progress.skip_gate or skip,
    )


def failures_by_stage(facts: Facts) -> list[int]:
    """Return how many failed in each stage."""
    return [sum(one.counts.get(state, 0) for state in FAILURES) for one in facts.stages]


def open_in(counts: Mapping[int, int]) -> int:
    """Return how many executions did not end; presumed ones may still be at work."""
    presumed = counts.get(ExecutionState.OVERDUE, 0) + counts.get(LOST, 0)
    return presumed + sum(number for state, number in counts.items() if state < OPEN_BELOW)


def seen_of(facts: Facts, stage: int) -> Tally:
    """Return the tally of one stage."""
    return tally(facts.stages[stage].counts, facts.stages[stage].waiting)


def all_over(facts: Facts) -> bool:
    """Tell whether nobody is waiting, queued or at work; who is presumed OVERDUE is neither."""
    return not any(
        one.waiting or any(number for state, number in one.counts.items() if state < OPEN_BELOW)
        for one in facts.stages
    )


def _accepted(progress: Progress, position: int) -> int:
    return progress.accepted[position] if position < len(progress.accepted) else 0


def _with_due(decision: Decision, policy: Policy, facts: Facts, due_ms: int) -> Decision:
    """Return the decision, due also when the rollout's time is over."""
    end_ms = _earliest(policy.end_ms, facts.not_after_ms)
    return Decision(
        progress=decision.progress,
        acts=decision.acts,
        due_ms=_earliest(due_ms, end_ms),
        words=decision.words,
    )


def _earliest(one_ms: int, other_ms: int) -> int:
    return min(filter(None, (one_ms, other_ms)), default=0)
