"""Where a task stands in its job, and what there is to do for it next: values only.

A `Course` is written down after each step and read again after a crash, so it says everything.
What follows from it stands in `agent.core.program`.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import msgspec
from msgspec.structs import replace

from agent.core.moment import Moment
from agent.core.queue import Due, rebased
from shared import limits
from shared.clock import MonoMs, WallMs
from shared.errors import Reason
from shared.model.condition import Condition, Known, Look
from shared.model.job import Step, TaskState, Value
from shared.wire.codec import pack

SKIPPED: Final = "skipped"
"""The reason of a step whose condition did not hold."""


class Phase(IntEnum):
    """Which part of the job a task is in."""

    STEPS = 0
    CHECK = 1
    """The post-check has not been seen to hold yet."""
    SOAK = 2
    """It held, and has to go on holding."""
    COMPENSATE = 3
    FINAL = 4
    END = 5
    FAILED = 6
    """The attempt failed: `Program.after_failure` says what follows."""


class Course(msgspec.Struct, frozen=True, array_like=True):
    """Where a task stands: everything it needs to go on after an interruption."""

    phase: Phase = Phase.STEPS
    index: int = 0
    """The next step of the phase's list."""
    tries: int = 0
    """How often that step failed in this attempt."""
    failures: int = 0
    """Attempts that failed so far."""
    facts: dict[str, Value] = {}
    """``step.ok``, ``step.reason`` and ``step.POINT`` of the steps done."""
    dropped: int = 0
    """How many of them there was no room for."""
    reason: int = 0
    """Why the job failed; 0 while it has not."""
    detail: str = ""
    undone: bool | None = None
    """Whether compensation put everything back; None where there was none to do."""
    cleared: bool = False
    """The present step's condition was seen to hold."""
    intent: str = ""
    """The step whose effect began and, for all that is known, did not end."""
    until: tuple[bytes, int, int, int] | None = None
    """When the present check is over: the members of a `Due`."""
    deadline: tuple[bytes, int, int, int] | None = None
    """When the whole task has to be over, where the job has a timeout."""
    timeouts: int = 0
    """Of the attempts that failed, those whose step took too long."""
    chosen: bool = False
    """The device was asked, and is one that the job is for, whatever the job makes of it."""

    def moved(self, facts: Mapping[str, Value], *, index: int | None = None) -> "Course":
        """Return the course at the next step, or at `index`, knowing more."""
        following = self.index + 1 if index is None else index
        after = self.knowing(facts)
        return replace(after, index=following, tries=0, cleared=False)

    def knowing(self, facts: Mapping[str, Value]) -> "Course":
        """Return the course at the same step, knowing more."""
        told = {**self.facts, **facts}
        kept = _kept(told)
        return replace(self, facts=kept, dropped=self.dropped + len(told) - len(kept), intent="")

    def checked_until(self, due: Due) -> "Course":
        """Return the course with an end of the present check."""
        return replace(self, until=_members(due))

    def ending_by(self, due: Due) -> "Course":
        """Return the course with an end of all work."""
        return replace(self, deadline=_members(due))

    def called_off(self, reason: Reason) -> "Course":
        """Return the course once nobody wants the job any more: only its last steps are left."""
        done = [name.removesuffix(".ok") for name in self.facts if name.endswith(".ok")]
        where = f"stopped after {done[-1]}" if done else "stopped before its first step"
        return replace(
            self, phase=Phase.FINAL, index=0, tries=0, reason=int(reason), detail=where, until=None
        )

    def expired(self, detail: str) -> "Course":
        """Return the course once its time is over between two steps: it failed."""
        reason = int(Reason.JOB_EXPIRED)
        return replace(self, phase=Phase.FAILED, tries=0, reason=reason, detail=detail, until=None)

    @property
    def has_begun(self) -> bool:
        """Tell whether a step came to its end, however it ended."""
        return bool(self.facts)

    @property
    def is_ending(self) -> bool:
        """Tell whether what is left is to put things in order: last steps begin once only."""
        return self.reason > 0 or self.phase in {Phase.FINAL, Phase.END}

    def on_this_boot(self, now: Moment) -> "Course":
        """Return the course with its times in the monotonic terms of this boot, once and for all.

        Where a clock that came up in 1970 says too little, a time begins once more, not each time
        it is looked at.
        """
        until, deadline = _rebased(self.until, now), _rebased(self.deadline, now)
        if until is self.until and deadline is self.deadline:
            return self
        return replace(self, until=until, deadline=deadline)

    def check_is_over(self, now: Moment) -> bool:
        """Tell whether the present check has come to its end, on this boot or an earlier one."""
        return self.until is not None and _left_ms(self.until, now) <= 0

    def left_ms(self, now: Moment) -> int | None:
        """Return how many milliseconds of its time are left, None where it has no bound."""
        return None if self.deadline is None else max(0, _left_ms(self.deadline, now))

    def looking(self, look: Look) -> Look:
        """Return how a condition of this task sees the world: its own steps first."""
        own = self.facts

        def find(name: str) -> Known:
            return own[name] if name in own else look(name)

        return find

    @property
    def is_verifying(self) -> bool:
        """Tell whether all effects are done and only the post-check is left."""
        return self.phase in {Phase.CHECK, Phase.SOAK}

    @property
    def result(self) -> dict[str, Value]:
        """Return what its steps read and wrote, by ``step.point``, and why some failed."""
        return {
            name: value
            for name, value in self.facts.items()
            if not name.endswith(".ok") and (not name.endswith(".reason") or value != SKIPPED)
        }


@dataclass(frozen=True, slots=True)
class Do:
    """Do this step now."""

    step: Step


@dataclass(frozen=True, slots=True)
class Watch:
    """Find out what the condition names, then tell the program what it says."""

    condition: Condition


@dataclass(frozen=True, slots=True)
class Rest:
    """Nothing to do before `due`; the device is free for others meanwhile."""

    due: Due
    reason: Reason | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Ended:
    """The task is over."""

    state: TaskState
    reason: Reason | None = None
    detail: str = ""


Next = Do | Watch | Rest | Ended


def _members(due: Due) -> tuple[bytes, int, int, int]:
    return due.boot_id, due.mono_ms, due.today_ms, due.delay_ms


def _rebased(
    members: tuple[bytes, int, int, int] | None, now: Moment
) -> tuple[bytes, int, int, int] | None:
    if members is None or members[0] == now.boot_id:
        return members
    boot, mono, today, delay = members
    return _members(rebased(Due(boot, MonoMs(mono), WallMs(today), delay), now))


def _left_ms(members: tuple[bytes, int, int, int], now: Moment) -> int:
    boot, mono, *_ = members
    assert boot == now.boot_id, "see `on_this_boot`"
    return mono - now.mono_ms


def _kept(facts: Mapping[str, Value]) -> dict[str, Value]:
    """Return as many facts as one task may keep, the newest first: they are written each step."""
    kept: dict[str, Value] = {}
    size = 0
    for name, value in reversed(list(facts.items())):
        plain = _plain(value)
        size += len(pack([name, plain]))
        if size > limits.COURSE_BYTES:
            break
        kept[name] = plain
    return dict(reversed(kept.items()))


def _plain(value: Value) -> Value:
    """Return a value as documents may carry it: they know no -0.0 and 53 bits."""
    if isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        return value if abs(value) <= limits.INT_MAX else float(value)
    return value + 0.0 if math.isfinite(value) else str(value)
