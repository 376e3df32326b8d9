"""What was asked of a rollout and how far it is: the values that are stored with a job.

Owns their shape; agents never get them. Leaves out how people write them
(`coordinator.contract.rollout`), and every decision (`coordinator.core.rollout` and the files
beside it). Times are UTC milliseconds, spans are milliseconds, 0 is "none" throughout.
"""

from enum import IntEnum, StrEnum

import msgspec

LOST = 31
"""Beside the states of executions: OVERDUE, and it had begun. Such a gateway may be dead."""


class RolloutState(IntEnum):
    """Where a rollout stands; queries rely on the numbers below 10 being open."""

    READY = 0
    """Its time has not come."""
    RUNNING = 1
    PAUSED = 2
    """It releases nothing, and what was not signed yet is not signed, at its end neither."""
    FINISHED = 10
    """All of its members ended or were given up."""
    STOPPED = 11
    """Called off, by a person or a gate."""
    ROLLED_BACK = 12
    """Called off, and undone where it had succeeded, by a job of its own."""
    EXPIRED = 13
    """Its time was over first."""


OPEN = frozenset({RolloutState.READY, RolloutState.RUNNING, RolloutState.PAUSED})


class StageState(IntEnum):
    """Where the stage that was opened last stands."""

    RUNNING = 1
    SOAKING = 2
    """Its gate is met; it has to stay so for a while."""
    FINISHED = 3


class ErrorAction(StrEnum):
    """What a gate or a criterion does when too much failed."""

    PAUSE = "pause"
    CANCEL = "cancel"
    ROLLBACK = "rollback"


class Stragglers(StrEnum):
    """What becomes of members that nobody reached by the deadline of their stage."""

    WAIT = "wait"
    CARRY_FORWARD = "carry_forward"
    """They join the next stage, at its end and under its limits."""
    DROP = "drop"


class FailureType(StrEnum):
    """Which ends a criterion counts."""

    ALL = "ALL"
    FAILED = "FAILED"
    TIMED_OUT = "TIMED_OUT"
    REJECTED = "REJECTED"
    LOST = "LOST"


class Stage(msgspec.Struct, frozen=True, array_like=True):
    """One step of a rollout."""

    name: str
    percentage: float = 100
    """Of all members, those of the stages before included."""
    min_targets: int = 0
    stratify_by: tuple[str, ...] = ()
    """Labels: every combination of their values has a member in it."""
    pauses: bool = False
    """When its gate is met it waits for a person."""


class Gate(msgspec.Struct, frozen=True, array_like=True):
    """When a stage is good enough to go on, and when it is bad enough to stop."""

    success_percentage: float = 95
    error_percentage: float = 5
    confidence: float = 0.9
    min_executed: int = 5
    error_action: ErrorAction = ErrorAction.PAUSE
    soak_ms: int = 0
    reach_ms: int = 0
    """From the opening of a stage; members nobody reached until then are stragglers."""
    stragglers: Stragglers = Stragglers.WAIT


class Criterion(msgspec.Struct, frozen=True, array_like=True):
    """Stops the whole rollout when a share of all that executed ended in one way."""

    failure_type: FailureType
    threshold_percentage: float
    min_executed: int
    action: ErrorAction


class Ramp(msgspec.Struct, frozen=True, array_like=True):
    """A rate that grows with success."""

    base_per_minute: int
    factor: float
    succeeded: int
    """So many successes more multiply the rate by `factor` once more."""


class Policy(msgspec.Struct, frozen=True, array_like=True):
    """What was asked of a rollout."""

    stages: tuple[Stage, ...] = (Stage("all"),)
    gate: Gate | None = None
    abort: tuple[Criterion, ...] = ()
    per_minute: int = 0
    """Releases within any 60 seconds; 0: as many as there are."""
    ramp: Ramp | None = None
    per_site: int = 0
    """Open executions of one site at most."""
    concurrent_percentage: float = 0
    """Open executions at most, as a share of all members."""
    continuous: bool = False
    contact_ms: int = 0
    """From release; who was not heard of by then is presumed OVERDUE."""
    complete_ms: int = 0
    """From release; what did not end by then is presumed OVERDUE."""
    start_ms: int = 0
    end_ms: int = 0
    cancels_at_end: bool = False
    """At `end_ms` what was released is called off too."""
    seed: str = ""
    limit: str = ""
    """Of the token it was handed in with: nobody beyond this selector joins; empty: there is none.
    """


class Progress(msgspec.Struct, frozen=True, array_like=True):
    """How far a rollout is; replaced as a whole by each decision."""

    state: RolloutState = RolloutState.READY
    stage: int = 0
    """Position of the stage that was opened last."""
    stage_state: StageState = StageState.RUNNING
    opened_ms: int = 0
    """When that stage was opened; 0: none was."""
    soak_since_ms: int = 0
    """Since when the gate of that stage is met without a break, while it soaks."""
    why: str = ""
    """Why it is paused or was stopped, for people."""
    recent: tuple[tuple[int, int], ...] = ()
    """(when, how many) were released within the last minute."""
    accepted: tuple[int, ...] = ()
    """Failures by stage that a person saw when he let it go on; only more stop it again."""
    skip_gate: bool = False
    """A person said that the present stage is good enough."""
