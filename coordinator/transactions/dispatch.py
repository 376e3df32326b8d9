"""One step of one rollout: count what changed, decide, and do it, all in one transaction.

The cost of a step is that of what changed: contacts note each change of state in `rollout_event`
(a trigger does, so nobody can forget to), a step folds those rows into `rollout_count` and deletes
them. A replica claims the row first; one that finds it taken leaves it alone. Leaves out the
decision (`coordinator.core.rollout`), stragglers (`dispatch_stragglers`) and undoing
(`dispatch_undo`).
"""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import assert_never

from msgspec.structs import replace

from coordinator.core.caps import note_release
from coordinator.core.derived import execution_of
from coordinator.core.events import Subject
from coordinator.core.ports import Row, Tx, execute, execute_many, fetch, fetch_one
from coordinator.core.reconcile import OPEN_BELOW
from coordinator.core.rollout import (
    Act,
    CallOff,
    Decision,
    Facts,
    PutOff,
    Release,
    RollBack,
    StageFacts,
    decide,
)
from coordinator.core.rollout_policy import OPEN, Policy, Progress, RolloutState
from coordinator.transactions.cancel import cancel
from coordinator.transactions.dispatch_counts import count_events, moved_count
from coordinator.transactions.dispatch_stragglers import put_off
from coordinator.transactions.dispatch_undo import undo, undo_late
from coordinator.transactions.executions import recall
from coordinator.transactions.gone import went_before
from coordinator.transactions.happenings import job_ended
from coordinator.transactions.outbox import tell
from coordinator.transactions.rollouts_begin import ACTOR, read_policy, read_progress
from coordinator.transactions.rows import audit
from coordinator.transactions.supersede import supersede
from shared import limits
from shared.clock import WallMs
from shared.errors import MistakeError, OutstationError
from shared.ids import AgentId, JobId, uuid_text
from shared.model.job import ExecutionState
from shared.trust.policy import Policy as TrustPolicy
from shared.wire.codec import pack


class OvertakenError(OutstationError):
    """Somebody else saved this rollout meanwhile; nothing of this step was kept."""


@dataclass(frozen=True, slots=True)
class Bench:
    """What a step works with."""

    now_ms: WallMs
    policy: TrustPolicy
    """By which the class of a job that undoes is chosen."""


@dataclass(slots=True)
class Stepped:
    """What a step brought about."""

    agents: list[AgentId] = field(default_factory=list)
    """Who has work now, or less of it."""
    again: bool = False
    """More is to be done at once."""
    changed: bool = False
    """What people see of it is different now."""
    taken: bool = False
    """Another replica is at it: nothing was done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """One rollout as it is stored."""

    job: JobId
    policy: Policy
    progress: Progress
    facts: Facts
    version: int
    begun: bool
    row: Row


def due(now_ms: WallMs) -> Tx[list[JobId]]:
    """Return the rollouts that something happened to, or whose time came."""
    return [JobId(job) for (job,) in (yield from fetch("rollouts_due", now_ms))]


def next_due() -> Tx[WallMs | None]:
    """Return when the next rollout has to be looked at though nothing happens."""
    row = yield from fetch_one("rollout_next_due")
    return row[0] if row else None


def step(job: JobId, bench: Bench) -> Tx[Stepped]:
    """Do what is to be done for one rollout now.

    Raises:
        OvertakenError: another replica did it.
    """
    done = Stepped()
    claimed = yield from fetch_one("rollout_claim", job)
    loaded = yield from load(job)
    if loaded is None or not loaded.begun:
        return done
    if claimed is None:
        done.taken = True
        return done
    yield from _presume_overdue(loaded, bench.now_ms)
    counted, done_late, more = yield from count_events(job)
    if done_late and loaded.row[4] is not None:
        done.agents += yield from undo_late(loaded.row, bench.now_ms)
    loaded = yield from load(job)
    assert loaded is not None, "it was read in this transaction"
    if more:
        done.again = done.changed = True
        return done
    decision = decide(loaded.policy, loaded.progress, loaded.facts, bench.now_ms)
    progress = decision.progress
    for act in decision.acts:
        progress = yield from _do(act, loaded, progress, bench, done)
    done.changed = counted or progress != loaded.progress
    yield from _save(loaded, decision, progress, bench, done)
    return done


def load(job: bytes) -> Tx[Loaded | None]:
    """Return one rollout, None when there is none of this job."""
    row = yield from fetch_one("rollout", job)
    if row is None:
        return None
    by_stage: dict[int, dict[int, int]] = defaultdict(dict)
    for stage, state, number in (yield from fetch("rollout_counts", job)):
        by_stage[stage][state] = number
    stages = yield from fetch("rollout_stages", job)
    facts = Facts(
        stages=[
            StageFacts(by_stage[stage], members - released, planned)
            for stage, planned, members, released, _ in stages
        ],
        not_after_ms=row[11],
        canceled=row[12] is not None,
    )
    return Loaded(
        job=JobId(job),
        policy=read_policy(row[1]),
        progress=read_progress(row[2]),
        facts=facts,
        version=row[3],
        begun=row[5] is not None,
        row=row,
    )


def _presume_overdue(loaded: Loaded, now_ms: WallMs) -> Tx[None]:
    late = False
    for state, span_ms in _overdue_spans(loaded.policy):
        rows = yield from fetch(
            "rollout_overdue",
            loaded.job,
            ExecutionState.OVERDUE,
            now_ms,
            state,
            now_ms - span_ms,
        )
        late = late or bool(rows)
    if late:
        yield from job_ended(loaded.job, now_ms)


def _overdue_spans(policy: Policy) -> list[tuple[int, int]]:
    """Return how long after its release an execution in each open state is presumed OVERDUE."""
    spans = {}
    for state in (one for one in ExecutionState if one < OPEN_BELOW):
        given = [policy.complete_ms]
        given += [policy.contact_ms] if state is ExecutionState.QUEUED else []
        spans[int(state)] = min(filter(None, given), default=0)
    return [(state, span_ms) for state, span_ms in spans.items() if span_ms]


def _overdue_due(loaded: Loaded) -> Tx[int]:
    due_ms = 0
    for state, span_ms in _overdue_spans(loaded.policy):
        row = yield from fetch_one("rollout_oldest", loaded.job, state)
        if row is not None:
            due_ms = min(due_ms or row[0] + span_ms, row[0] + span_ms)
    return due_ms


def _do(act: Act, loaded: Loaded, progress: Progress, bench: Bench, done: Stepped) -> Tx[Progress]:
    match act:
        case Release(members):
            most = min(members, limits.ROLLOUT_RELEASES)
            released = yield from _release(loaded, progress.stage, most, bench, done)
            done.agents += released
            done.again = done.again or (members > most and len(released) == most)
            return note_release(progress, bench.now_ms, len(released))
        case PutOff():
            moved = yield from put_off(loaded.job, loaded.policy, act, bench.now_ms)
            done.again = True
            done.agents += moved
            return progress
        case CallOff():
            yield from call_off(loaded.job, bench.now_ms, done)
            return progress
        case RollBack():
            try:
                done.agents += yield from undo(loaded.row, bench.policy, bench.now_ms)
            except MistakeError as error:
                # The policy in force is another one than when the job was handed in.
                why = f"{progress.why}; it cannot be undone: {error}"
                progress = replace(progress, state=RolloutState.STOPPED, why=why)
            yield from call_off(loaded.job, bench.now_ms, done)
            return progress
        case _:
            assert_never(act)


def call_off(job: JobId, now_ms: WallMs, done: Stepped) -> Tx[None]:
    """Cancel the job of a rollout."""
    off = yield from cancel(job, actor=ACTOR, now_ms=now_ms)
    done.agents += () if off is None else off.agents


def _release(
    loaded: Loaded, upto: int, most: int, bench: Bench, done: Stepped
) -> Tx[list[AgentId]]:
    """Queue up to `most` members of the opened stages, the earliest first."""
    released: list[AgentId] = []
    for stage in range(upto + 1):
        if not loaded.facts.stages[stage].waiting or len(released) == most:
            continue
        rows = yield from fetch("rollout_next", loaded.job, stage, most - len(released))
        made = [(AgentId(agent), execution_of(loaded.job, AgentId(agent))) for agent, *_ in rows]
        in_order = sorted(made)  # of their key: many of them land on the same page then
        yield from execute_many(
            "rollout_execution_insert",
            ((agent, id_, loaded.job, bench.now_ms, stage) for agent, id_ in in_order),
        )
        yield from supersede(loaded.job, [agent for agent, _ in made], bench.now_ms)
        yield from execute_many(
            "rollout_member_released", ((loaded.job, agent, id_) for agent, id_ in in_order)
        )
        if made:
            yield from moved_count(loaded.job, stage, 0, len(made), len(made))
            yield from recall(loaded.job, made, bench.now_ms)
            # Whoever comes next at their sites, or their gate, waits for nothing else.
            done.again |= yield from went_before(rows, bench.now_ms)
        released += [agent for agent, _ in made]
    return released


def _save(
    loaded: Loaded, decision: Decision, progress: Progress, bench: Bench, done: Stepped
) -> Tx[None]:
    job, now_ms = loaded.job, bench.now_ms
    words = list(decision.words)
    if progress.opened_ms:
        yield from execute("rollout_stage_opened", job, progress.stage, progress.opened_ms)
    before = loaded.progress
    if progress.opened_ms and (not before.opened_ms or progress.stage != before.stage):
        detail = {"stage": loaded.policy.stages[progress.stage].name}
        yield from tell("rollout.stage", Subject(job=job), now_ms, detail=detail)
    if progress.state is not loaded.progress.state:
        yield from hold(job, progress, now_ms)
        words = words or [progress.why]
        yield from audit(
            now_ms,
            actor=ACTOR,
            action=f"rollout.{progress.state.name.lower()}",
            object_=f"job:{uuid_text(job)}",
            detail={"stage": loaded.policy.stages[progress.stage].name, "why": progress.why},
        )
    elif progress.state not in OPEN:
        words = [progress.why]
    due_ms: int = now_ms
    if not done.again:
        overdue_ms = yield from _overdue_due(loaded)
        due_ms = min(filter(None, (decision.due_ms, overdue_ms)), default=0)
    yield from save(loaded, progress, "; ".join(words), due_ms=due_ms, now_ms=now_ms)


def hold(job: JobId, progress: Progress, now_ms: WallMs) -> Tx[None]:
    """Keep a job out of bundles from a pause on until somebody lets it go on; no end does."""
    if progress.state is RolloutState.PAUSED:
        yield from execute("job_hold", job, now_ms)
    elif progress.state in OPEN:
        yield from execute("job_let_go", job)


def save(
    loaded: Loaded, progress: Progress, words: str, *, due_ms: int, now_ms: WallMs
) -> Tx[None]:
    """Store the progress of a rollout.

    Raises:
        OvertakenError: it is not the version that was loaded.
    """
    saved = yield from fetch_one(
        "rollout_save",
        loaded.job,
        loaded.version,
        pack(progress),
        progress.state,
        due_ms or None,
        words,
        now_ms,
    )
    if saved is None:
        raise OvertakenError
    if progress.state not in OPEN and loaded.progress.state in OPEN:
        yield from job_ended(loaded.job, now_ms)
