"""`device.read`: read points now, ahead of the polls, and report their values."""

from collections.abc import Sequence

from agent.actions.hand import Hand
from agent.core.device import DeviceSettings
from agent.core.ports import StepOutcome, Urgency
from agent.core.queue import Problem
from shared.errors import Reason
from shared.ids import DeviceId
from shared.model.job import Step


class ReadAction:
    """Gives `{point: value}`; the first point without a value fails the step."""

    name = "device.read"

    def check(self, step: Step, device: DeviceSettings) -> Problem | None:
        """Return the first point that the device's profile does not have."""
        for point in _points(step):
            if device.profile.point(point) is None:
                return unknown(step, device.id, point)
        return None

    async def run(self, step: Step, driver: Hand) -> StepOutcome:
        """Read the step's points; what was read is reported even when one of them failed."""
        readings = await driver.read(_points(step), urgency=Urgency.COMMAND)
        result = {one.point: one.value for one in readings if one.value is not None}
        for one in readings:
            if one.value is None:
                reason = one.reason or Reason.STEP_FAILED
                return StepOutcome(reason, f"{one.point} cannot be read", result)
        return StepOutcome(result=result)


def unknown(step: Step, device: DeviceId, point: str) -> Problem:
    """Return the problem of a point that a device does not have."""
    return Problem(Reason.POINT_UNKNOWN, f"{step.id}: {device} has no point {point}")


def _points(step: Step) -> Sequence[str]:
    points = step.params["points"]
    assert isinstance(points, list), "parameters were checked at admission"
    return points
