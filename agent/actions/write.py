"""`device.write`: make points have these values, and prove it by reading them back.

What a point already has is not written again: registers wear out, and a repeated attempt must
leave no second effect.
"""

from collections.abc import Mapping, Sequence

from agent.actions.read import unknown
from agent.core.device import DeviceSettings
from agent.core.ports import Driver, StepOutcome, Urgency
from agent.core.queue import Problem
from shared.errors import MistakeError, Reason, WorldError
from shared.ids import DeviceId
from shared.model.job import Step, Value

SKIPPED = "_skipped"
"""Result member: whether nothing had to be written. No point's name begins like this."""


class WriteAction:
    """Reads, writes what differs, reads back; gives `{point: value read back}` and `SKIPPED`."""

    name = "device.write"

    def check(self, step: Step, device: DeviceSettings) -> Problem | None:
        """Return the first point the profile does not have, or does not let be written so."""
        for name, value in step.params.items():
            assert isinstance(value, int | float), "parameters were checked at admission"
            point = device.profile.point(name)
            if point is None:
                return unknown(step, device.id, name)
            place = f"{step.id}: {_place(device.id, name)}"
            if not point.writable:
                return Problem(Reason.POINT_READ_ONLY, f"{place} is read-only")
            if not point.within_limits(value):
                bounds = f"{point.minimum} to {point.maximum} {point.unit}".rstrip()
                return Problem(Reason.VALUE_OUT_OF_RANGE, f"{place}: {value} is not in {bounds}")
        return None

    async def run(self, step: Step, driver: Driver) -> StepOutcome:
        """Write the step's points; nothing is written unless all of them can be."""
        wanted = {name: value for name, value in step.params.items() if not isinstance(value, list)}
        try:
            expected = driver.expected(wanted)
            before = await _read(driver, list(wanted))
            if isinstance(before, StepOutcome):
                return before
            different = {n: wanted[n] for n, value in expected.items() if before.get(n) != value}
            if not different:
                return StepOutcome(result={**before, SKIPPED: True})
            await driver.write(different)
        except MistakeError as error:
            return StepOutcome(Reason.BAD_PARAMETERS, str(error))
        except WorldError as error:
            return StepOutcome(error.reason, error.detail)
        return await _verify(driver, expected)


async def _verify(driver: Driver, expected: Mapping[str, int | float]) -> StepOutcome:
    after = await _read(driver, list(expected))
    if isinstance(after, StepOutcome):
        return after
    result: dict[str, Value] = {**after, SKIPPED: False}
    for name, value in expected.items():
        if after.get(name) != value:
            detail = (
                f"{_place(driver.device, name)} reads {after.get(name)} after {value} was written"
            )
            return StepOutcome(Reason.VERIFY_MISMATCH, detail, result)
    return StepOutcome(result=result)


async def _read(driver: Driver, names: Sequence[str]) -> dict[str, int | float] | StepOutcome:
    """Return the points' values, or the outcome when one has none.

    A value out of the point's limits is a value: it is what the write shall put right.
    """
    readings = await driver.read(names, urgency=Urgency.COMMAND)
    found = {one.point: one.value for one in readings if one.value is not None}
    for one in readings:
        if one.value is None and one.reason is not Reason.VALUE_OUT_OF_RANGE:
            place = _place(driver.device, one.point)
            return StepOutcome(one.reason or Reason.STEP_FAILED, f"{place} cannot be read", found)
    return found


def _place(device: DeviceId, point: str) -> str:
    return f"{device}.{point}"
