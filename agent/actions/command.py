"""`device.command`: do one of the calls that the device's profile names.

A call that is not said to be repeatable is done at most once: where no answer came, nobody knows.
A pulse that has begun, or may have, comes to rest although its step is cut off.
"""

import asyncio
import logging
from contextlib import suppress

from agent.actions.hand import Hand, faulted, is_refusal, uncertain
from agent.actions.write import DRY_RUN, check_value
from agent.core.device import DeviceSettings
from agent.core.ports import StepOutcome
from agent.core.queue import Problem
from shared import limits
from shared.errors import MistakeError, Reason, WorldError
from shared.model.calls import Call
from shared.model.job import Step, Value
from shared.runtime.logs import Events

_log = Events(__name__)
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
        if call.pulse_ms >= step.timeout_s * 1000:
            what = f"{name} takes {call.pulse_ms} ms, and timeout_s = {step.timeout_s}"
            return Problem(Reason.BAD_PARAMETERS, f"{step.id}: {device.id}: {what}")
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
            if call.pulse_ms:
                hand.expected({call.point: call.rest})
            if problem := await hand.forbidden({call.point: value}):
                return problem
            if hand.dry_run:
                told: dict[str, Value] = {
                    f"{call.point}.new": value,
                    CALL: call.name,
                    DRY_RUN: True,
                }
                return StepOutcome(result=told)
            await _begin(hand, call, value)
        except (MistakeError, WorldError) as error:
            return faulted(error)
        return None

    async def _prove(self, hand: Hand, call: Call, value: float) -> StepOutcome:
        """End the pulse, and read back what is to be read back."""
        result: dict[str, Value] = {call.point: value, CALL: call.name}
        try:
            if call.pulse_ms:
                await _hold(hand, call)
            await hand.memory.settle(hand.device, [call.point])
            if call.pulse_ms or hand.verify(call.point) != "read_back":
                return StepOutcome(result=result)
            proven = await hand.proven(hand.expected({call.point: value}))
        except (MistakeError, WorldError) as error:
            return faulted(error)
        return StepOutcome(proven.reason, proven.detail, {**result, **proven.result})


async def _begin(hand: Hand, call: Call, value: float) -> None:
    """Write a call's value; a pulse that may have begun unheard, or is cut off, ends at once."""
    try:
        await hand.put({call.point: value})
    except BaseException as error:
        if call.pulse_ms and not is_refusal(error):
            with suppress(MistakeError, WorldError):
                await _end(hand, call)
        raise


async def _hold(hand: Hand, call: Call) -> None:
    """Let a pulse last for its time, or until its step is cut off."""
    try:
        await asyncio.sleep(call.pulse_ms / 1000)
    except asyncio.CancelledError:
        with suppress(MistakeError, WorldError):
            await _end(hand, call)
        raise
    await _end(hand, call)


async def _end(hand: Hand, call: Call) -> None:
    """Write a pulse's rest, whoever cuts the step off meanwhile, and however often."""
    resting = asyncio.ensure_future(_rest(hand, call))
    cut: asyncio.CancelledError | None = None
    while not resting.done():
        try:
            await asyncio.wait((resting,))
        except asyncio.CancelledError as error:
            cut = error
    if (failed := resting.exception()) is not None:
        # Who cuts the step off hears of nothing else.
        place, why = hand.place(call.point), str(failed)
        _log.event("pulse_not_ended", level=logging.ERROR, point=place, detail=why)
    if cut is not None:
        raise cut
    if failed is not None:
        raise failed


async def _rest(hand: Hand, call: Call) -> None:
    """Write a pulse's rest until the device takes it, within a time that a stop can wait for."""
    failed = WorldError(Reason.DEVICE_SILENT, f"no answer in {limits.PULSE_REST_S} s")
    with suppress(TimeoutError):
        async with asyncio.timeout(limits.PULSE_REST_S):
            for left in reversed(range(limits.PULSE_RESTS)):
                try:
                    return await hand.write({call.point: call.rest})
                except WorldError as error:
                    failed = error
                if left:
                    await asyncio.sleep(limits.PULSE_REST_PAUSE_MS / 1000)
    detail = f"{hand.place(call.point)} did not come to rest: {failed.detail}"
    raise WorldError(failed.reason, detail) from failed


def value_of(step: Step, call: Call) -> int | float:
    """Return what a call writes: its own value, or the one that the step gives."""
    if call.value is not None:
        return call.value
    given = step.params.get("value")
    assert isinstance(given, int | float), "parameters were checked at admission"
    return given
