"""Jobs: the specification an admin submits, and THE state tables that both programs fold.

Owns what a job says and which state may follow which. The tables know no role: the agent walks
them as it works, the coordinator folds the agent's receipts over the same edges. Leaves out when
things happen (`policy`), what actions exist (`action`) and where rows are kept.

    task        one execution on one device, a row of the agent's queue
    execution   one job on one agent, a pure fold of its tasks

A terminal execution state is never left. OVERDUE is the coordinator's presumption, not a fact:
any receipt of the agent overrides it.
"""

from collections.abc import Iterable
from enum import IntEnum

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
    _T.READY: frozenset({_T.RUNNING, _T.CANCELED, _T.FAILED, _T.QUARANTINED}),
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


class JobSpec(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What an admin wants done: immutable; its digest is what people and keys sign."""

    name: str
    steps: list[Step]
    targets: Targets = Targets()
    retry: Retry = Retry()
    delay_s: int = 0
    """Seconds the agent waits after it accepted the job, kept offline and across restarts."""
    final_steps: list[Step] = []
    """Done at the end of each attempt, however it ended; ``[[finally]]`` in a job file."""
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


def fold_tasks(tasks: Iterable[tuple[TaskState, int, Reason | None]]) -> Outcome:
    """Return an execution's state from its tasks' (state, attempts, reason).

    All done is SUCCEEDED; once all are terminal, the worst one names the execution; while any
    is open, one that has begun makes it IN_PROGRESS and a retry that waits makes it HELD.
    """
    rows = list(tasks)
    if not rows:
        return Outcome(ExecutionState.REJECTED, Reason.NO_MATCHING_DEVICE)
    states = {state for state, _, _ in rows}
    if states <= TERMINAL_TASK:
        for bad, outcome in _WORST_FIRST:
            for state, _, reason in rows:
                if state is bad:
                    return Outcome(outcome, reason)
        return Outcome(ExecutionState.SUCCEEDED)
    if TaskState.RUNNING in states:
        return Outcome(ExecutionState.IN_PROGRESS)
    if any(attempts > 0 for state, attempts, _ in rows if state is TaskState.READY):
        return Outcome(ExecutionState.HELD)
    if states == {TaskState.READY}:
        return Outcome(ExecutionState.DELIVERED)
    return Outcome(ExecutionState.IN_PROGRESS)


_WORST_FIRST = (
    (TaskState.QUARANTINED, ExecutionState.QUARANTINED),
    (TaskState.FAILED, ExecutionState.FAILED),
    (TaskState.CANCELED, ExecutionState.CANCELED),
)
