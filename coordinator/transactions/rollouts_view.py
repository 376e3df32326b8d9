"""Rollouts as people see them."""

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from coordinator.contract.common import to_time
from coordinator.contract.rollouts import (
    IncomingView,
    MemberView,
    RolloutView,
    StageState,
    StageView,
)
from coordinator.contract.rollouts import RolloutState as StateText
from coordinator.core.gates import judge
from coordinator.core.ports import Row, Tx, fetch
from coordinator.core.rollout import failures_by_stage, seen_of
from coordinator.core.rollout_policy import LOST, Gate, RolloutState
from coordinator.core.rollout_policy import StageState as Stage
from coordinator.transactions.dispatch import Loaded, load
from coordinator.transactions.rollouts_begin import policy_of
from coordinator.transactions.sight import sees_job
from coordinator.transactions.words import execution_state_text
from shared.ids import uuid_text
from shared.model.job import ExecutionState
from shared.model.selector import Selector
from shared.words import some

_INCOMING = 20
"""Devices shown with firmware on its way: what a screen has room for."""
_STATES: Mapping[RolloutState, StateText] = {
    RolloutState.READY: "READY",
    RolloutState.RUNNING: "RUNNING",
    RolloutState.PAUSED: "PAUSED",
    RolloutState.FINISHED: "FINISHED",
    RolloutState.STOPPED: "STOPPED",
    RolloutState.ROLLED_BACK: "ROLLED_BACK",
    RolloutState.EXPIRED: "EXPIRED",
}
_STAGE_STATES: Mapping[Stage, StageState] = {
    Stage.RUNNING: "RUNNING",
    Stage.SOAKING: "SOAKING",
    Stage.FINISHED: "FINISHED",
}


def view_rollout(job: bytes, limit: Selector | None = None) -> Tx[RolloutView | None]:
    """Return one rollout, None when there is none of this job within a token's limit."""
    view = yield from _in_short(job, limit)
    if view is None:
        return None
    rows = yield from fetch("images_of_job", job, ExecutionState.IN_PROGRESS, _INCOMING)
    incoming = [
        IncomingView(agent, device, permille, to_time(at_ms))
        for agent, device, permille, at_ms in rows
    ]
    return replace(view, incoming=incoming)


def _in_short(job: bytes, limit: Selector | None) -> Tx[RolloutView | None]:
    loaded = yield from load(job)
    if loaded is None or not (yield from sees_job(job, limit)):
        return None
    stages = yield from fetch("rollout_stages", job)
    return _view(loaded, stages)


def list_rollouts(
    *, before: bytes, size: int, state: int | None = None, limit: Selector | None = None
) -> Tx[tuple[list[RolloutView], bool]]:
    """Return up to `size` rollouts older than a job's id, newest first, and if there are more."""
    views: list[RolloutView] = []
    while True:
        wanted = -1 if state is None else state
        page = yield from fetch("rollouts_before", before, size + 1, wanted)
        for (job,) in page:
            view = yield from _in_short(job, limit)
            views += [] if view is None else [view]
        if len(views) > size or len(page) <= size:
            return views[:size], len(views) > size
        before = page[-1][0]


def list_members(
    job: bytes, *, after: str, size: int, limit: Selector | None = None
) -> Tx[tuple[list[MemberView], bool] | None]:
    """Return up to `size` members after an agent, and if there are more; None: no such rollout."""
    policy = yield from policy_of(job)
    if policy is None or not (yield from sees_job(job, limit)):
        return None
    rows = yield from fetch("rollout_members_after", job, after, size + 1)
    views = [
        MemberView(agent, policy.stages[stage].name if stage >= 0 else "", bool(released))
        for agent, stage, released in rows[:size]
    ]
    return views, len(rows) > size


def _view(loaded: Loaded, stages: Sequence[Row]) -> RolloutView:
    row = loaded.row
    words, updated_ms, due_ms = row[6], row[7], row[19]
    shown = [_stage(loaded, stage) for stage in stages]
    return RolloutView(
        job=uuid_text(loaded.job),
        name=row[8],
        state=_STATES[loaded.progress.state],
        why=[*(words.split("; ") if words else []), *_not_well(loaded)],
        stages=shown,
        targets=row[17],
        released=sum(one.members - one.waiting for one in shown),
        created_at=to_time(row[13]),
        created_by=row[14],
        updated_at=to_time(updated_ms),
        next_look_at=None if due_ms is None else to_time(due_ms),
        undo=None if row[4] is None else uuid_text(row[4]),
    )


def _not_well(loaded: Loaded) -> list[str]:
    """Say what failed of a finished rollout: without a gate, that state alone looks well."""
    failed = sum(failures_by_stage(loaded.facts))
    if loaded.progress.state is not RolloutState.FINISHED or not failed:
        return []
    return [f"{failed} of {some(loaded.facts.members, 'agent')} failed"]


def _stage(loaded: Loaded, row: Row) -> StageView:
    stage, planned, members, released, opened_ms = row
    facts, progress = loaded.facts.stages[stage], loaded.progress
    seen = seen_of(loaded.facts, stage)
    opened = opened_ms is not None
    last = stage == len(loaded.policy.stages) - 1
    gate = loaded.policy.gate or (None if last else Gate())
    return StageView(
        name=loaded.policy.stages[stage].name,
        state=_state(loaded, stage, opened=opened),
        planned=planned,
        members=members,
        waiting=members - released,
        counts={_name(state): number for state, number in sorted(facts.counts.items())},
        reached=seen.reached,
        executed=seen.executed,
        succeeded=seen.succeeded,
        failed=seen.failed,
        opened_at=to_time(opened_ms) if opened_ms is not None else None,
        gate=judge(gate, seen, planned).words if gate and opened and progress.opened_ms else "",
    )


def _state(loaded: Loaded, stage: int, *, opened: bool) -> StageState:
    progress = loaded.progress
    if not opened:
        return "SCHEDULED"
    if stage < progress.stage or progress.state is RolloutState.FINISHED:
        return "FINISHED"
    return _STAGE_STATES[progress.stage_state]


def _name(state: int) -> str:
    return "LOST" if state == LOST else execution_state_text(state)
