"""`device.read_config`, `device.configure`, `device.restore_config`.

A configuration is the values of some points: kept durably on the agent, made so where it differs,
put back. Writing itself is `agent.actions.write`'s, comparing `agent.actions.validate`'s.
"""

from collections.abc import Sequence

from agent.actions.hand import Hand, Values
from agent.actions.read import unknown
from agent.actions.write import SKIPPED, check_value, make_so, values_of
from agent.core.device import DeviceSettings
from agent.core.ports import StepOutcome
from agent.core.queue import Problem
from shared import limits
from shared.errors import Reason
from shared.model.job import Step


class ReadConfigAction:
    """Reads points and keeps their values, by the step and by a name; gives `{point: value}`."""

    name = "device.read_config"

    def check(self, step: Step, device: DeviceSettings) -> Problem | None:
        """Return the first point the profile does not have, or that there is none to read."""
        points = _points(step, device)
        if not points:
            detail = f"{step.id}: the profile of {device.id} calls no point config"
            return Problem(Reason.POINT_UNKNOWN, detail)
        if len(points) > limits.CONFIG_POINTS:
            return Problem(Reason.BAD_PARAMETERS, f"{step.id}: {len(points)} points are too many")
        for point in points:
            if device.profile.point(point) is None:
                return unknown(step, device.id, point)
        return None

    async def run(self, step: Step, driver: Hand) -> StepOutcome:
        """Read all of them; nothing is kept unless each one gave a value."""
        values = await driver.present(_points(step, driver.settings))
        if isinstance(values, StepOutcome):
            return values
        if not driver.dry_run:
            save_as = str(step.params.get("save_as", ""))
            await keep(driver, step, values, *([save_as] if save_as else []))
        return StepOutcome(result=values)


class ConfigureAction:
    """Keeps what is there, then makes it as desired; gives what `device.write` gives."""

    name = "device.configure"

    def check(self, step: Step, device: DeviceSettings) -> Problem | None:
        """Return the first point that cannot be written so, or cannot be compared."""
        if len(step.params) > limits.CONFIG_POINTS:
            return Problem(Reason.BAD_PARAMETERS, f"{step.id}: too many points")
        for name, value in step.params.items():
            assert isinstance(value, int | float), "parameters were checked at admission"
            if problem := check_value(step, device, name, value):
                return problem
            point = device.profile.point(name)
            if point is None or point.write.verify == "none":
                detail = f"{step.id}: {device.id}.{name} cannot be read, so not be compared"
                return Problem(Reason.BAD_PARAMETERS, detail)
        return None

    async def run(self, step: Step, driver: Hand) -> StepOutcome:
        """Apply only what differs; what was there first can be put back by this step's id."""
        desired = values_of(step)
        before = await driver.present(list(desired))
        if isinstance(before, StepOutcome):
            return before
        if not driver.dry_run:
            await keep(driver, step, before)
        return await make_so(driver, desired)


class RestoreConfigAction:
    """Puts a kept configuration back, as far as it differs; gives what `device.write` gives."""

    name = "device.restore_config"

    def check(self, step: Step, device: DeviceSettings) -> Problem | None:
        """Return nothing: what was kept is known only when it is put back."""
        return None

    async def run(self, step: Step, driver: Hand) -> StepOutcome:
        """Write what differs; points that can only be read are left alone."""
        source = str(step.params.get("from", ""))
        name = key_of(driver, source) if source else str(step.params["saved"])
        kept = await driver.memory.config(driver.device, name)
        if kept is None:
            detail = f"no configuration of {driver.device} is kept as {source or name}"
            return StepOutcome(Reason.BAD_PARAMETERS, detail)
        wanted = {point: value for point, value in kept.items() if _can_be_set(driver, point)}
        if not wanted:
            return StepOutcome(result={SKIPPED: True})
        return await make_so(driver, wanted)


async def keep(hand: Hand, step: Step, values: Values, *names: str) -> None:
    """Keep a configuration for this job under the step's id, and under further names."""
    await hand.memory.keep_config(hand.owner, hand.device, [key_of(hand, step.id), *names], values)


def key_of(hand: Hand, step: str) -> str:
    """Return under which name a step of this execution keeps; no person's name is like it."""
    return f"#{step}@{hand.owner.key.hex()}"


def _points(step: Step, device: DeviceSettings) -> Sequence[str]:
    points = step.params.get("points")
    if isinstance(points, list) and points:
        return points
    return [point.name for point in device.profile.config]


def _can_be_set(hand: Hand, name: str) -> bool:
    point = hand.settings.profile.point(name)
    return point is not None and point.writable and point.write.verify != "none"
