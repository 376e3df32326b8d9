"""`device.write`: make points have these values, and prove it as their profile says.

What a point already has is not written again: registers wear out, and a repeated attempt must
leave no second effect. With ``for_s`` the former values come back by themselves.
"""

from collections.abc import Mapping, Sequence

from agent.actions.hand import Hand, Values, faulted, uncertain
from agent.actions.read import unknown
from agent.core.device import DeviceSettings
from agent.core.ports import StepOutcome
from agent.core.queue import Problem
from shared.errors import MistakeError, Reason, WorldError
from shared.model.job import Step, Value

SKIPPED = "_skipped"
"""Result member: whether nothing had to be written. No point's name begins like this."""
DRY_RUN = "_dry_run"
"""Result member: nothing was written, ``POINT.new`` says what would be."""


class WriteAction:
    """Reads, writes what differs, proves it; gives `{point: value}` and `SKIPPED`."""

    name = "device.write"

    def check(self, step: Step, device: DeviceSettings) -> Problem | None:
        """Return the first point the profile does not have, or does not let be written so."""
        for name, value in step.params.items():
            assert isinstance(value, int | float), "parameters were checked at admission"
            if problem := check_value(step, device, name, value):
                return problem
            point = device.profile.point(name)
            assert point is not None, "it was just checked"
            place = f"{step.id}: {device.id}.{name}"
            if step.for_s and point.write.verify == "none":
                return Problem(Reason.BAD_PARAMETERS, f"{place}: nobody knows what to put back")
            if 0 < step.for_s < point.write.min_interval_s:
                detail = f"{place} must be spared for longer than for_s = {step.for_s}"
                return Problem(Reason.BAD_PARAMETERS, detail)
        return None

    async def run(self, step: Step, driver: Hand) -> StepOutcome:
        """Write the step's points; nothing is written unless all of them can be."""
        wanted = values_of(step)
        outcome = await make_so(driver, wanted, for_s=step.for_s)
        if is_hazardous(driver.settings, wanted):
            return uncertain(outcome, obeyed=outcome.result.get(SKIPPED) is False)
        return outcome


async def make_so(hand: Hand, wanted: Mapping[str, Value], *, for_s: int = 0) -> StepOutcome:
    """Make points have these values, writing only what differs."""
    try:
        expected = hand.expected(wanted)
        readable = [name for name in wanted if hand.verify(name) != "none"]
        before = await hand.present(readable)
        if isinstance(before, StepOutcome):
            return before
        different = {n: wanted[n] for n, value in expected.items() if before.get(n) != value}
        if problem := await hand.forbidden(different):
            return problem
        if for_s and (blank := next((name for name in different if name not in before), None)):
            detail = f"{hand.place(blank)} has no value now that could be put back"
            return StepOutcome(Reason.STEP_FAILED, detail, dict(before))
        if hand.dry_run:
            return _would(before, different)
        if not different:
            await _keep_lent(hand, wanted, for_s)
            return StepOutcome(result={**before, SKIPPED: True})
        if for_s:
            lent = {name: before[name] for name in different}
            await hand.memory.lend(hand.owner, hand.device, lent, for_s)
        if failed := await _put(hand, different):
            return failed
        outcome = await hand.proven(expected)
    except (MistakeError, WorldError) as error:
        return faulted(error)
    if outcome.reason is None:
        await _keep_lent(hand, wanted, for_s)
    return StepOutcome(outcome.reason, outcome.detail, {**outcome.result, SKIPPED: False})


async def _put(hand: Hand, different: Mapping[str, Value]) -> StepOutcome | None:
    """Write; of several points some may have been written before one was refused."""
    try:
        await hand.put(different)
    except WorldError as error:
        return StepOutcome(
            error.reason, error.detail, {SKIPPED: False} if len(different) > 1 else {}
        )
    return None


async def _keep_lent(hand: Hand, wanted: Mapping[str, Value], for_s: int) -> None:
    """Give what is lent already its new time, or nothing back: the values are to stay."""
    if for_s:
        await hand.memory.prolong(hand.owner, hand.device, wanted, for_s)
    else:
        await hand.memory.settle(hand.device, wanted)


def values_of(step: Step) -> dict[str, Value]:
    """Return the values a step gives for points."""
    return {name: value for name, value in step.params.items() if not isinstance(value, list)}


def is_hazardous(device: DeviceSettings, points: Mapping[str, object] | Sequence[str]) -> bool:
    """Tell whether writing these points twice may do twice what it does."""
    found = (device.profile.point(name) for name in points)
    return any(point is not None and point.write.verify == "none" for point in found)


def check_value(step: Step, device: DeviceSettings, name: str, value: float) -> Problem | None:
    """Return why a device's point cannot be written so, as far as its profile tells."""
    point = device.profile.point(name)
    if point is None:
        return unknown(step, device.id, name)
    place = f"{step.id}: {device.id}.{name}"
    if not point.writable:
        return Problem(Reason.POINT_READ_ONLY, f"{place} is read-only")
    if not point.within_limits(value):
        bounds = f"{point.limits_text} {point.unit}".rstrip()
        detail = f"{place}: {value} is outside its limits, {bounds}"
        return Problem(Reason.VALUE_OUT_OF_RANGE, detail)
    return None


def _would(before: Values, different: Mapping[str, Value]) -> StepOutcome:
    told: dict[str, Value] = dict(before)
    told |= {f"{name}.new": value for name, value in different.items()}
    return StepOutcome(result={**told, SKIPPED: not different, DRY_RUN: True})
