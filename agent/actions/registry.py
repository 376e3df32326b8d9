"""Every action this agent can do, by the name a job's step gives.

The contract test holds this table and `shared.model.action.ACTIONS` to the same names.
"""

from collections.abc import Mapping
from typing import Protocol

from agent.actions.read import ReadAction
from agent.actions.write import WriteAction
from agent.core.device import DeviceSettings
from agent.core.ports import Action
from agent.core.queue import Problem
from shared.errors import Reason
from shared.model.job import Step


class CheckedAction(Action, Protocol):
    """An action that can also say beforehand why a device can never do a step of it."""

    def check(self, step: Step, device: DeviceSettings) -> Problem | None:
        """Return the first problem that the device's profile shows; reads nothing."""


ACTIONS: Mapping[str, CheckedAction] = {
    action.name: action for action in (ReadAction(), WriteAction())
}


def check_step(step: Step, device: DeviceSettings) -> Problem | None:
    """Return why a device can never do a step, as far as its profile tells."""
    action = ACTIONS.get(step.action)
    if action is None:
        return Problem(Reason.UNKNOWN_ACTION, f"{step.id}: there is no {step.action} here")
    return action.check(step, device)
