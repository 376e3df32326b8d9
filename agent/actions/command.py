"""`device.command`: do one of the calls that the device's profile names.

A call that is not said to be repeatable is done at most once: where no answer came, nobody knows.
"""

import asyncio

from agent.actions.hand import Hand, faulted, uncertain
from agent.actions.write import DRY_RUN, check_value
from agent.core.device import DeviceSettings
from agent.core.ports import StepOutcome
from agent.core.queue import Problem
from shared import limits
from shared.errors import MistakeError, Reason, WorldError
from shared.model.calls import Call
from shared.model.job import Step, Value

CALL = "_call"
"""Result member: the call that was done."""


class CommandAction:
    """Writes the call's value; after a pulse its rest; gives `{point: value}` and `CALL`."""

    name = "device.command"

    def check(self, step: Step, device: DeviceSettings) -> Problem | None:
        """Return why the profile has no such call, or not with such a value."""
        name, given = step.params["call"], step.params.get("value")
        call = device.profile.call(str(name))
        if call is None:
            known = ", ".join(one.name for one in device.profile.calls) or "none"
            detail = f"{step.id}: {device.id} has no call {name}; it has {known}"
            return Problem(Reason.CALL_UNKNOWN, detail[: limits.DETAIL_CHARS])
        if (call.value is None) != isinstance(given, int | float):
            how = "needs a value" if call.value is None else "takes no value"
            return Problem(Reason.BAD_PARAMETERS, f"{step.id}: {device.id}: {name} {how}")
        return check_value(step, device, call.point, value_of(step, call))

    async def run(self, step: Step, driver: Hand) -> StepOutcome:
        """Do the call; of one that must not be done twice only a refusal is known to be none."""
        call = driver.settings.profile.call(str(step.params["call"]))
        assert call is not None, "calls were checked before the step began"
        value = value_of(step, call)
        ended = await self._put(driver, call, value)
        if ended is not None:
            return ended if call.idempotent else uncertain(ended)
        proven = await self._prove(driver, call, value)
        return proven if call.idempotent else uncertain(proven, obeyed=True)

    async def _put(self, hand: Hand, call: Call, value: float) -> StepOutcome | None:
        """Write the call's value; None: the device obeyed."""
        try:
            hand.expected({call.point: value})
            if problem := await hand.forbidden({call.point: value}):
                return problem
            if hand.dry_run:
                told: dict[str, Value] = {
                    f"{call.point}.new": value,
                    CALL: call.name,
                    DRY_RUN: True,
                }
                return StepOutcome(result=told)
            await hand.put({call.point: value})
        except (MistakeError, WorldError) as error:
            return faulted(error)
        return None

    async def _prove(self, hand: Hand, call: Call, value: float) -> StepOutcome:
        """End the pulse, and read back what is to be read back."""
        result: dict[str, Value] = {call.point: value, CALL: call.name}
        try:
            if call.pulse_ms:
                await asyncio.sleep(call.pulse_ms / 1000)
                await hand.write({call.point: call.rest})
            await hand.memory.settle(hand.device, [call.point])
            if call.pulse_ms or hand.verify(call.point) != "read_back":
                return StepOutcome(result=result)
            proven = await hand.proven(hand.expected({call.point: value}))
        except (MistakeError, WorldError) as error:
            return faulted(error)
        return StepOutcome(proven.reason, proven.detail, {**result, **proven.result})


def value_of(step: Step, call: Call) -> int | float:
    """Return what a call writes: its own value, or the one that the step gives."""
    if call.value is not None:
        return call.value
    given = step.params.get("value")
    assert isinstance(given, int | float), "parameters were checked at admission"
    return given
