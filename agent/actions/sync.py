"""`device.sync`: what the device is, and what it says of itself: inventory, facts, records."""

from agent.actions.hand import Hand
from agent.core.device import DeviceSettings
from agent.core.ports import StepOutcome, Urgency
from agent.core.queue import Problem
from shared import limits
from shared.errors import Reason
from shared.model.job import Step, Value


class SyncAction:
    """Gives the profile and where it is attached, and the points that polls leave out."""

    name = "device.sync"

    def check(self, step: Step, device: DeviceSettings) -> Problem | None:
        """Return nothing: every device is something."""
        return None

    async def run(self, step: Step, driver: Hand) -> StepOutcome:
        """Read what can be; a point that gives nothing is left out, a silent device fails."""
        settings, profile = driver.settings, driver.settings.profile
        result: dict[str, Value] = {
            "_profile": profile.name,
            "_kind": profile.kind,
            "_profile_hash": profile.content_hash.hex()[:16],
            "_bus": settings.bus,
            "_address": settings.address,
            "_points": len(profile.points),
            "_calls": len(profile.calls),
        }
        # Records are read when somebody asks: serial numbers, hours of work.
        told = [p.name for p in profile.points if p.write.verify != "none" and not p.poll]
        told += [point.name for point in profile.config if point.name not in told]
        names = (told or [profile.points[0].name])[: limits.CONFIG_POINTS]
        readings = await driver.read(names, urgency=Urgency.COMMAND)
        result |= {one.point: one.value for one in readings if one.value is not None}
        reasons = [one.reason for one in readings if one.value is None]
        if len(reasons) == len(readings):
            detail = f"{driver.device} tells nothing of itself"
            return StepOutcome(reasons[0] or Reason.STEP_FAILED, detail, result)
        return StepOutcome(result=result)
