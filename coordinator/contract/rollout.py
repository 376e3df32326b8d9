"""How a job goes over the fleet, as people write it beside its spec; agents never get it.

Owns the members' names, what they mean by default, and spans of time. Leaves out what makes them a
mistake (`coordinator.contract.rollout_check`).
"""

import re
from typing import Final, Literal

import msgspec

from coordinator.contract.common import Time
from shared.errors import MistakeError

Action = Literal["pause", "cancel", "rollback"]
_SPAN: Final = re.compile(
    r"P(?:(\d{1,4})W)?(?:(\d{1,5})D)?(?:T(?:(\d{1,6})H)?(?:(\d{1,7})M)?(?:(\d{1,8})S)?)?"
)
_SECONDS: Final = (604_800, 86_400, 3_600, 60, 1)


class StageBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One step of a rollout."""

    name: str
    percentage: float = 100
    """Of all targets, those of the stages before included."""
    min_targets: int = 0
    stratify_by: list[str] = []
    """Labels: every combination of their values has a member in this stage."""
    success_action: Literal["next", "pause"] = "next"


class RampBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A rate that grows with success."""

    base_rate_per_minute: int
    increment_factor: float = 2
    number_of_succeeded: int = 20
    """So many successes more multiply the rate once more."""


class RolloutBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[rollout]``: in which steps, and how fast."""

    stages: list[StageBody] = []
    """Empty: all targets are one stage."""
    maximum_per_minute: int = 0
    exponential_rate: RampBody | None = None
    max_concurrent_per_site: int = 0
    max_concurrent_percentage: float = 0
    target_selection: Literal["snapshot", "continuous"] = "snapshot"
    """continuous: agents that match later join the last stage, under the same limits."""
    seed: str = ""
    """Same seed and fleet: same cohorts. Left out, the job's digest is the seed."""
    start: Time | None = None
    end: Time | None = None
    end_behavior: Literal["stop_rollout", "cancel"] = "stop_rollout"
    """At `end`: release nobody more, or call off what was released too."""


class GateBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[gate]``: when a stage is good, and when it is bad."""

    success_percentage: float = 95
    error_percentage: float = 5
    of: Literal["reached"] = "reached"
    confidence: float = 0.9
    min_executed: int = 5
    error_action: Action = "pause"
    soak_minutes: int = 0
    reach_deadline: str = ""
    """ISO 8601, e.g. ``P3D``; from the opening of a stage."""
    reach_deadline_s: int = 0
    stragglers: Literal["wait", "carry_forward", "drop"] = "wait"


class CriterionBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Stops the whole rollout."""

    failure_type: Literal["ALL", "FAILED", "TIMED_OUT", "REJECTED", "LOST"] = "ALL"
    threshold_percentage: float
    min_executed: int = 10
    action: Action = "cancel"


class AbortBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[abort]``: over all stages."""

    criteria: list[CriterionBody] = []


class DeadlinesBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[deadlines]``: after which an execution is presumed OVERDUE, from its release."""

    contact_within: str = ""
    contact_within_s: int = 0
    complete_within: str = ""
    complete_within_s: int = 0


def span_s(text: str, seconds: int, *, where: str) -> int:
    """Return a span that is written as ISO 8601 or as seconds, 0 for none.

    Raises:
        MistakeError: it is written twice, or is no span.

    >>> span_s("P3D", 0, where="gate.reach_deadline")
    259200
    >>> span_s("PT1H30M", 0, where="gate.reach_deadline")
    5400
    """
    if not text:
        return seconds
    if seconds:
        raise MistakeError(f"give it or {where.rpartition('.')[2]}_s, not both", where=where)
    found = _SPAN.fullmatch(text)
    parts = [int(part or 0) for part in found.groups()] if found else []
    total = sum(number * unit for number, unit in zip(parts, _SECONDS, strict=False))
    if not total or text.endswith("T"):
        raise MistakeError(
            f"{text[:40]!r} is no span of time",
            where=where,
            mend="write for example PT6H, P3D or P2W, or use the member that ends with _s",
        )
    return total
