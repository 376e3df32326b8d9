"""The actions a job may ask for: their parameters, and whether doing them twice does harm.

Both programs read this table: the coordinator refuses a bad job at submission, the agent checks
again before it admits one. How an action is done stands in `agent.actions`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from shared import limits
from shared.errors import MistakeError
from shared.ids import is_name
from shared.model.job import JobSpec, Step


class ReadParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`device.read`: which points to read now."""

    points: list[str]


@dataclass(frozen=True, slots=True)
class ActionKind:
    """What is declared about an action before anything of it runs."""

    parameters: Any
    """A type msgspec can convert the step's params to."""
    idempotent: bool
    """Doing it again leaves the device as doing it once did."""
    summary: str


ACTIONS: Mapping[str, ActionKind] = {
    "device.read": ActionKind(ReadParameters, idempotent=True, summary="read points now"),
    # Absolute set-points, skipped when equal and read back after: a repeat changes nothing.
    "device.write": ActionKind(
        dict[str, int | float | bool], idempotent=True, summary="write points and read them back"
    ),
}


def check_spec(spec: JobSpec) -> None:
    """Check everything about a job that can be known without its devices.

    Raises:
        MistakeError: names the member at fault, e.g. ``steps[0].params``.
    """
    if not is_name(spec.name):
        raise MistakeError(
            f"the name {spec.name!r} is not usable",
            where="name",
            mend="use up to 40 lower case letters, digits and hyphens",
        )
    if not 1 <= len(spec.steps) <= limits.STEPS:
        raise MistakeError(f"a job has 1 to {limits.STEPS} steps", where="steps")
    seen: set[str] = set()
    for number, step in enumerate(spec.steps):
        _check_step(step, f"steps[{number}]", seen)
    if not 0 <= spec.delay_s <= limits.DELAY_S:
        raise MistakeError(f"{spec.delay_s} s is out of range", where="delay_s")
    if not 0 <= spec.retry.failed < limits.ATTEMPTS:
        raise MistakeError(f"{spec.retry.failed} is out of range", where="retry.failed")
    if not 1 <= spec.retry.initial_s <= spec.retry.max_s <= limits.DELAY_S:
        raise MistakeError("back-off needs 1 <= initial_s <= max_s", where="retry")


def _check_step(step: Step, where: str, seen: set[str]) -> None:
    if not is_name(step.id) or step.id in seen:
        raise MistakeError(f"the step id {step.id!r} is unusable or repeated", where=f"{where}.id")
    seen.add(step.id)
    kind = ACTIONS.get(step.action)
    if kind is None:
        known = ", ".join(sorted(ACTIONS))
        raise MistakeError(
            f"there is no action {step.action!r}", where=f"{where}.action", mend=f"use {known}"
        )
    try:
        converted = msgspec.convert(step.params, kind.parameters)
    except msgspec.ValidationError as error:
        raise MistakeError(str(error), where=f"{where}.params") from None
    if not step.params or converted == ReadParameters(points=[]):
        raise MistakeError("it names no point", where=f"{where}.params")
    if not 1 <= step.timeout_s <= limits.STEP_TIMEOUT_S:
        raise MistakeError(f"{step.timeout_s} s is out of range", where=f"{where}.timeout_s")
