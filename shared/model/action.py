"""The actions a job may ask for: their parameters, and whether doing them twice does harm.

Both programs read this table: the coordinator refuses a bad job at submission, the agent checks
again before it admits one. How an action is done stands in `agent.actions`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from shared.errors import MistakeError
from shared.model.job import Step


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
    reads_only: bool = False
    """It changes nothing on the device: a locked site does not keep it."""


ACTIONS: Mapping[str, ActionKind] = {
    "device.read": ActionKind(
        ReadParameters, idempotent=True, summary="read points now", reads_only=True
    ),
    # Absolute set-points, skipped when equal and read back after: a repeat changes nothing.
    "device.write": ActionKind(
        dict[str, int | float | bool], idempotent=True, summary="write points and read them back"
    ),
}


def check_parameters(step: Step, where: str) -> None:
    """Check a step's action and parameters, as far as no device has to be known.

    Raises:
        MistakeError: names the member at fault, e.g. ``steps[0].params``.
    """
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
