"""`device.sync`: what the device is, and what it says of itself: inventory, facts, records."""

from agent.actions.hand import Hand
from agent.core.device import DeviceSettings
from agent.core.ports import Identity, StepOutcome, Urgency
from agent.core.queue import Problem
from shared import limits
from shared.errors import Reason, WorldError
from shared.model.identity import IDENTITY_KEYS
from shared.model.job import Step, Value

TOLD = "_told."
"""Result members: what else the device said of itself, by the protocol's own names."""
EXPECTED = ".expected"
"""Result members: what its profile expects where it said something else."""


class SyncAction:
    """Gives what the device is by its profile, what it says it is, and what polls leave out."""

    name = "device.sync"

    def check(self, step: Step, device: DeviceSettings) -> Problem | None:
        """Return nothing: every device is something."""
        return None

    async def run(self, step: Step, driver: Hand) -> StepOutcome:
        """Read what can be; a point that gives nothing is left out, a silent device fails."""
        profile = driver.settings.profile
        # Records are read when somebody asks: serial numbers, hours of work.
        readable = [point for point in profile.points if point.write.verify != "none"]
        told = [point.name for point in readable if not point.poll]
        told += [point.name for point in profile.config if point.name not in told]
        names = (told or [point.name for point in readable[:1]])[: limits.CONFIG_POINTS]
        readings = await driver.read(names, urgency=Urgency.COMMAND) if names else []
        values = {one.point: one.value for one in readings if one.value is not None}
        reasons = [one.reason for one in readings if one.value is None]
        silent = not values and Reason.DEVICE_SILENT in reasons
        identity = None if silent else await _identity(driver)
        result = {**inventory(driver.settings), **facts_of(driver.settings, identity), **values}
        if not values and identity is None:
            detail = f"{driver.device} tells nothing of itself"
            return StepOutcome(next(iter(reasons), None) or Reason.STEP_FAILED, detail, result)
        return StepOutcome(result=result)


def inventory(device: DeviceSettings) -> dict[str, Value]:
    """Return what the agent's configuration says of a device."""
    profile = device.profile
    return {
        "_profile": profile.name,
        "_kind": profile.kind,
        "_profile_hash": profile.content_hash.hex()[:16],
        "_bus": device.bus,
        "_address": device.address,
        "_points": len(profile.points),
        "_calls": len(profile.calls),
    }


def facts_of(device: DeviceSettings, identity: Identity | None) -> dict[str, Value]:
    """Return what a device said of itself, and where that is not what its profile expects."""
    if identity is None:
        return {"_identity": False, "_drifted": 0, "_drift": ""}
    said = {key: getattr(identity, key) for key in IDENTITY_KEYS}
    drift = device.profile.identity.drift(said)
    facts: dict[str, Value] = {"_identity": True}
    facts |= {f"_{key}": text for key, text in said.items() if text}
    facts |= {f"{TOLD}{name}": text for name, text in identity.more.items()}
    facts |= {f"_{key}{EXPECTED}": text for key, text in drift.items()}
    return {**facts, "_drifted": len(drift), "_drift": ",".join(drift)}


async def _identity(driver: Hand) -> Identity | None:
    """Return what the device says of itself; some are silent to words they do not know."""
    try:
        return await driver.identify()
    except WorldError:
        return None
