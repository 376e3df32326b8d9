"""The parts of a job that say when it may begin, what proves it, and what happens if it fails.

Owns the values only. `shared.model.job.JobSpec` is made of them, `shared.model.spec_check` refuses
what cannot be, and `agent.core` does what they say. Conditions are kept as text, as people and
keys signed them.
"""

from enum import StrEnum
from typing import Final

import msgspec

FAIL: Final = "fail"
CONTINUE: Final = "continue"
GOTO: Final = "goto:"
"""``goto:STEP``: go on with a later step."""


class PostCheck(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What must be true afterwards, and stay so."""

    condition: str
    within_s: int = 60
    """Seconds the condition may take to come true at first."""
    soak_s: int = 0
    """Seconds it must then hold, over restarts too; one sight of the opposite fails the job."""
    every_s: int = 30
    """Seconds between two looks."""


class Batch(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """How a job goes over the devices of one agent."""

    max_parallel: int = 0
    """Devices worked on at a time; 0: one on each bus."""
    tolerate_ppm: int = 0
    """Share of devices that may fail without failing the execution, in millionths."""
    canary: int = 0
    """So many devices have to succeed before the others begin."""


class Severity(StrEnum):
    """How much an alarm matters."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


class Alarm(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What a rule tells people at once, ahead of everything else on the link."""

    text: str
    severity: Severity = Severity.WARNING


class Rule(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A condition over readings and facts that fires on its own, offline too.

    It fires when the condition has held for `for_s`; it can fire again only after `reset` was
    true (without one: after the condition was false) and `min_interval_s` passed.
    """

    condition: str
    for_s: int = 0
    reset: str = ""
    """Hysteresis: what must be true before it may fire again."""
    min_interval_s: int = 60
    max_per_day: int = 24
    """Firings in any 24 hours; what is beyond is counted and told."""
    alarm: Alarm | None = None


class Dependency(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Another job that must have ended so on the same agent before this one begins."""

    job: str
    """Its id, as the coordinator gave it."""
    outcome: str = "SUCCEEDED"
    """The execution state it must have ended in, or ``ANY``."""
