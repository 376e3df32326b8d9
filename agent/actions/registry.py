"""Every action this agent can do, by the name a job's step gives.

The contract test holds these tables and `shared.model.action.ACTIONS` to the same names.
"""

from collections.abc import Mapping
from typing import Protocol

from agent.actions.command import CommandAction
from agent.actions.config import ConfigureAction, ReadConfigAction, RestoreConfigAction
from agent.actions.files import GetFileAction, PutFileAction
from agent.actions.hand import Hand
from agent.actions.own import (
    AdoptAction,
    AgentAction,
    CleanupAction,
    ConfigureSelfAction,
    DiagnoseAction,
    DiscoverAction,
    FetchAction,
    HealthAction,
    RestartAction,
    RunScriptAction,
)
from agent.actions.read import ReadAction
from agent.actions.sync import SyncAction
from agent.actions.update_firmware import UpdateFirmwareAction
from agent.actions.validate import ValidateAction
from agent.actions.write import WriteAction, is_hazardous
from agent.core.device import DeviceSettings
from agent.core.ports import StepOutcome
from agent.core.queue import Problem
from shared.errors import Reason
from shared.model.job import Step


class CheckedAction(Protocol):
    """One kind of step on a device."""

    name: str

    def check(self, step: Step, device: DeviceSettings) -> Problem | None:
        """Return the first problem that the device's profile shows; reads nothing."""

    async def run(self, step: Step, driver: Hand) -> StepOutcome:
        """Do the step on one device; safe to cancel between frames. Faults become outcomes."""


ACTIONS: Mapping[str, CheckedAction] = {
    action.name: action
    for action in (
        ReadAction(),
        WriteAction(),
        CommandAction(),
        ReadConfigAction(),
        ConfigureAction(),
        RestoreConfigAction(),
        ValidateAction(),
        SyncAction(),
        UpdateFirmwareAction(),
        PutFileAction(),
        GetFileAction(),
    )
}


OWN_ACTIONS: Mapping[str, AgentAction] = {
    action.name: action
    for action in (
        HealthAction(),
        DiagnoseAction(),
        CleanupAction(),
        FetchAction(),
        DiscoverAction(),
        AdoptAction(),
        RestartAction(),
        RunScriptAction(),
        ConfigureSelfAction(),
    )
}


def check_step(step: Step, device: DeviceSettings) -> Problem | None:
    """Return why a device can never do a step, as far as its profile tells."""
    if step.action in OWN_ACTIONS:
        return None
    action = ACTIONS.get(step.action)
    if action is None:
        return Problem(Reason.UNKNOWN_ACTION, f"{step.id}: there is no {step.action} here")
    return action.check(step, device)


def may_repeat(step: Step, device: DeviceSettings) -> bool | None:
    """Tell whether doing a step twice is as good as once; None: as declared for its action."""
    if step.action == CommandAction.name:
        call = device.profile.call(str(step.params.get("call")))
        return call is not None and call.idempotent
    if step.action == WriteAction.name and is_hazardous(device, step.params):
        return False
    return None
