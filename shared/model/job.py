"""Jobs: the specification an admin submits, and THE state tables that both programs fold.

Owns what a job says and which state may follow which. The tables know no role: the agent walks
them as it works, the coordinator folds the agent's receipts over the same edges. Leaves out when
things happen (`policy`), what actions exist (`action`) and where rows are kept.

    task        one execution on one device, a row of the agent's queue
    execution   one job on one agent, a pure fold of its tasks

A terminal execution state is never left. OVERDUE is the coordinator's presumption, not a fact:
any receipt of the agent overrides it.
"""

from collections.abc import Iterable, Sequence
from enum import IntEnum
from typing import NamedTuple

import msgspec

from shared.errors import Reason
from shared.model.plan import FAIL, Batch, Dependency, PostCheck, Rule
from shared.model.schedule import Schedule, Window

Value = int | float | bool | str
"""A parameter or a result: what JSON, TOML and msgpack can all say exactly."""


class TaskState(IntEnum):
    """Where a task stands in the agent's queue."""

    READY = 0
    """Waits for its time, its lane and a free worker."""
    RUNNING = 1
    """An attempt was committed; its effects may have begun."""
    DONE = 2
    """The attempt succeeded and its receipt was committed with it."""
    FAILED = 3
    """No retries remain, or retrying cannot help."""
    CANCELED = 4
    """Stopped at a safe point before any effect."""
    QUARANTINED = 5
    """It took the process down too often; a person has to look."""


class ExecutionState(IntEnum):
    """What is known about one job on one agent."""

    QUEUED = 0
    """Released on the coordinator, not yet signed into a bundle."""
    DELIVERED = 1
    """Durably in the agent's queue."""
    HELD = 2
    """The agent waits: delay, back-off, window, precondition, site lock."""
    IN_PROGRESS = 3
    """An attempt was committed before any effect."""
    VERIFYING = 4
    """Effects are done; post-check and soak run."""
    SUCCEEDED = 10
    FAILED = 11
    TIMED_OUT = 12
    ROLLED_BACK = 13
    ROLLBACK_FAILED = 14
    REJECTED = 15
    """The agent refused it before any effect."""
    QUARANTINED = 16
    EXPIRED = 17
    """Its `not_after` passed before it could run."""
    CANCELED = 20
    SUPERSEDED = 21
    REMOVED = 22
    """Left the target before it was signed into a bundle."""
    OVERDUE = 30
    """Presumed late by the coordinator; never set by an agent."""


_T = TaskState
TASK_TRANSITIONS: dict[TaskState, frozenset[TaskState]] = {
    _T.READY: frozenset({_T.RUNNING, _T.CANCELED, _T.FAILED}),
    _T.RUNNING: frozenset({_T.READY, _T.DONE, _T.FAILED, _T.CANCELED, _T.QUARANTINED}),
    _T.DONE: frozenset(),
    _T.FAILED: frozenset(),
    _T.CANCELED: frozenset(),
    _T.QUARANTINED: frozenset(),
}
"""READY follows RUNNING after a crash, a graceful stop or for a retry; attempts tell which."""

_X = ExecutionState
TERMINAL_EXECUTION = frozenset(
    {
        *(_X.SUCCEEDED, _X.FAILED, _X.TIMED_OUT, _X.ROLLED_BACK, _X.ROLLBACK_FAILED),
        *(_X.REJECTED, _X.QUARANTINED, _X.EXPIRED, _X.CANCELED, _X.SUPERSEDED, _X.REMOVED),
    }
)
_OBSERVED = TERMINAL_EXECUTION - {_X.REMOVED}
"""Terminal states an agent may report."""
_UNDELIVERED = (
    frozenset({_X.DELIVERED, _X.HELD, _X.IN_PROGRESS, _X.REMOVED, _X.OVERDUE}) | _OBSERVED
)

EXECUTION_TRANSITIONS: dict[ExecutionState, frozenset[ExecutionState]] = {
    _X.QUEUED: _UNDELIVERED,
    _X.DELIVERED: frozenset({_X.HELD, _X.IN_PROGRESS, _X.OVERDUE}) | _OBSERVED,
    _X.HELD: frozenset({_X.IN_PROGRESS, _X.OVERDUE}) | _OBSERVED,
    _X.IN_PROGRESS: frozenset({_X.HELD, _X.VERIFYING, _X.OVERDUE}) | _OBSERVED,
    _X.VERIFYING: frozenset({_X.HELD, _X.IN_PROGRESS, _X.OVERDUE}) | _OBSERVED,
    _X.OVERDUE: frozenset({_X.DELIVERED, _X.HELD, _X.IN_PROGRESS, _X.VERIFYING}) | _OBSERVED,
    **{state: frozenset() for state in TERMINAL_EXECUTION},
}

TERMINAL_TASK = frozenset(state for state, after in TASK_TRANSITIONS.items() if not after)


def check_task_transition(before: TaskState, after: TaskState) -> None:
    """Assert that a task may go from `before` to `after`: anything else is our own bug."""
    assert after in TASK_TRANSITIONS[before], f"illegal task transition {before.name}->{after.name}"


def may_follow(before: ExecutionState, after: ExecutionState) -> bool:
    """Tell whether an execution may go from `before` to `after`."""
    return after in EXECUTION_TRANSITIONS[before]


class Step(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One action of a job, applied to each matching device."""

    id: str
    action: str
    params: dict[str, Value | list[str]] = {}
    timeout_s: int = 30
    """Seconds one attempt of this step may take, measured by the agent's monotonic clock."""
    when: str = ""
    """A condition; when it does not hold, or nothing known settles it, the step is left out."""
    retries: int = 0
    """Further tries of this step within an attempt, at once."""
    on_failure: str = FAIL
    """``fail``, ``continue`` or ``goto:STEP``, a later one."""
    for_s: int = 0
    """Seconds after which a written value is put back as it was, offline too; 0: never."""


class Targets(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Which agents, and which of the devices attached to them."""

    agents: list[str] = []
    """Agent ids; joined with what `selector` matches."""
    selector: str = ""
    """Kubernetes label selector over agents' labels; empty selects by `agents` alone."""
    device_selector: str = ""
    """Label selector over an agent's devices (`id`, `kind`, `profile`, own labels); empty: all."""


class Retry(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """How often and how patiently the agent tries again, offline and by itself."""

    failed: int = 0
    """Further attempts after a failure that retrying may cure."""
    initial_s: int = 60
    max_s: int = 21_600
    timed_out: int | None = None
    """Further attempts after a step took too long, as far as `failed` allows; None: all of them."""
    multiplier_ppm: int = 2_000_000
    """By which the wait grows with each failure, in millionths."""
    jitter: bool = True
    """Wait any time up to the one computed, so that a fleet that failed together spreads."""


class JobSpec(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What an admin wants done: immutable; its digest is what people and keys sign."""

    name: str
    steps: list[Step]
    targets: Targets = Targets()
    retry: Retry = Retry()
    delay_s: int = 0
    """Seconds the agent waits after it accepted the job, kept offline and across restarts."""
    final_steps: list[Step] = []
    """Done at the end, after the last attempt, however it went; ``[[finally]]`` in a job file."""
    post_check: PostCheck | None = None
    compensation: list[Step] = []
    """Done when the steps or the post-check failed for good."""
    preconditions: list[str] = []
    """All must hold before an attempt begins; until then it is HELD."""
    window: Window | None = None
    """An attempt begins only while it is open."""
    schedule: Schedule | None = None
    """Makes it a standing job: each nominal time runs it once."""
    rule: Rule | None = None
    """Makes it a standing job: each time the rule fires runs it once."""
    batch: Batch = Batch()
    timeout_s: int = 0
    """Seconds from the first attempt to the end, over restarts; 0: no bound but `not_after`."""
    priority: int = 1
    """0 goes first, 3 last, where several could begin."""
    conflict_key: str = ""
    """Of several jobs with one key that wait on an agent only the newest is done."""
    after: Dependency | None = None
    dry_run: bool = False
    """Tell what would be done; change nothing."""

    @property
    def every_step(self) -> list[Step]:
        """Return all steps it could ever do: what may not be asked for in one place may in none."""
        return [*self.steps, *self.final_steps, *self.compensation]

    @property
    def is_standing(self) -> bool:
        """Tell whether it runs again and again."""
        return self.schedule is not None or self.rule is not None


class Outcome(msgspec.Struct, frozen=True):
    """What the fold of an execution's tasks says."""

    state: ExecutionState
    reason: Reason | None = None


class TaskSeen(NamedTuple):
    """What the fold has to know of one task."""

    state: TaskState
    attempts: int
    reason: Reason | None = None
    """Why it ended so, or what it waits for."""
    verifying: bool = False
    """Its effects are done: it waits for post-check and soak."""


def fold_tasks(tasks: Iterable[TaskSeen], *, tolerate_ppm: int = 0) -> Outcome:
    """Return an execution's state from its tasks.

    A task of a device that the job turned out not to be for counts nowhere. Once all are terminal,
    the worst one names the execution, unless no more than the tolerated
    share failed. While any is open: one at work makes it IN_PROGRESS, only checks left VERIFYING,
    only waiting HELD.
    """
    rows = [row for row in tasks if row.reason is not Reason.NOT_SELECTED]
    if not rows:
        return Outcome(ExecutionState.REJECTED, Reason.NO_MATCHING_DEVICE)
    if all(row.state in TERMINAL_TASK for row in rows):
        return _fold_ended(rows, tolerate_ppm)
    # A look at a check is no work: what only has checks left is VERIFYING all the while.
    active = [row for row in rows if row.state not in TERMINAL_TASK and not row.verifying]
    if not active:
        return Outcome(ExecutionState.VERIFYING)
    if any(row.state is TaskState.RUNNING for row in active):
        return Outcome(ExecutionState.IN_PROGRESS)
    if len(active) < len(rows) and not any(row.attempts for row in active):
        return Outcome(ExecutionState.IN_PROGRESS)
    held = next((row for row in active if row.attempts or row.reason), None)
    if held is not None:
        return Outcome(ExecutionState.HELD, held.reason)
    return Outcome(ExecutionState.DELIVERED)


def _fold_ended(rows: Sequence[TaskSeen], tolerate_ppm: int) -> Outcome:
    poisoned = [row for row in rows if row.state is TaskState.QUARANTINED]
    failed = [row for row in rows if row.state is TaskState.FAILED]
    canceled = [row for row in rows if row.state is TaskState.CANCELED]
    if poisoned:
        return Outcome(ExecutionState.QUARANTINED, poisoned[0].reason)
    if failed and (canceled or len(failed) * 1_000_000 > tolerate_ppm * len(rows)):
        return _fold_failed(failed)
    if canceled:
        called_off = len(canceled) == len(rows)
        state = _CALLED_OFF.get(canceled[0].reason, ExecutionState.REJECTED)
        return Outcome(state if called_off else ExecutionState.CANCELED, canceled[0].reason)
    return Outcome(ExecutionState.SUCCEEDED)


def _fold_failed(failed: Sequence[TaskSeen]) -> Outcome:
    for reason, state in (
        (Reason.UNDO_FAILED, ExecutionState.ROLLBACK_FAILED),
        (Reason.UNKNOWN_EFFECT, ExecutionState.FAILED),
        (Reason.JOB_TIMED_OUT, ExecutionState.TIMED_OUT),
    ):
        if any(row.reason is reason for row in failed):
            return Outcome(state, reason)
    if all(row.reason is Reason.UNDONE for row in failed):
        return Outcome(ExecutionState.ROLLED_BACK, Reason.UNDONE)
    return Outcome(
        ExecutionState.FAILED, next(r.reason for r in failed if r.reason is not Reason.UNDONE)
    )


_CALLED_OFF = {
    None: ExecutionState.CANCELED,
    Reason.CANCELED: ExecutionState.CANCELED,
    Reason.SUPERSEDED: ExecutionState.SUPERSEDED,
    Reason.JOB_EXPIRED: ExecutionState.EXPIRED,
}
"""What an execution is that ended before any of its tasks began; for other reasons it was
refused."""
