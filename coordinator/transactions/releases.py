"""Whether a job would take devices back to a lower release of their firmware, as far as is known.

A courtesy: agents refuse it by what they remember and the devices say, whatever stands here. Knows
devices by the newest word of an update that they run as wished (`coordinator.transactions.drift`).
Leaves out devices that a selector names by anything but their id, and agents beyond a bound.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from coordinator.core.drift_words import FIRMWARE
from coordinator.core.ports import Tx, fetch
from coordinator.transactions.rows import read_spec
from shared import limits
from shared.errors import MistakeError
from shared.model.artifact import parse_artifact
from shared.model.job import JobSpec, Step
from shared.model.selector import Selector, parse_selector
from shared.trust.catalog import Catalog, Firmware

_ACTION: Final = "device.update_firmware"
_BY_ID: Final = "id"


def check_releases(spec: JobSpec, agents: Sequence[str], catalog: Catalog) -> Tx[None]:
    """Check that no device is known to have had a higher release than it would get.

    Raises:
        MistakeError: one is; names it, and how to go on.
    """
    devices = parse_selector(spec.targets.device_selector)
    if any(clause.key != _BY_ID for clause in devices.requirements):
        return
    for index, step in enumerate(spec.steps):
        offered = _offered(step, catalog)
        if offered is None:
            continue
        ahead = {
            image.sha256: image.release
            for image in catalog.firmware
            if image.device_class == offered.device_class and image.release > offered.release
        }
        if ahead:
            where = f"steps[{index}].params.artifact"
            yield from _check(offered, ahead, agents, devices, where)


def _check(
    offered: Firmware,
    ahead: Mapping[bytes, int],
    agents: Sequence[str],
    devices: Selector,
    where: str,
) -> Tx[None]:
    for agent in agents[: limits.RELEASES_LOOKED_AT]:
        rows = yield from fetch("images_run", agent, FIRMWARE, limits.WISHES)
        for device, packed in rows:
            spec = read_spec(packed)
            had = None if spec is None else _release(spec, ahead)
            if had is not None and devices.matches({_BY_ID: device}):
                raise MistakeError(
                    f"{device} of {agent} has release {had} of {offered.device_class},"
                    f" {offered.id} is release {offered.release}",
                    where=where,
                    mend="leave it out, or say allow_downgrade = true if the catalog has it",
                )


def _offered(step: Step, catalog: Catalog) -> Firmware | None:
    """Return what a step would install and must not be lower than what is there."""
    if step.action != _ACTION or step.params.get("allow_downgrade") is True:
        return None
    digest = parse_artifact(str(step.params["artifact"]), where="artifact")
    return next((image for image in catalog.firmware if image.sha256 == digest), None)


def _release(spec: JobSpec, ahead: Mapping[bytes, int]) -> int | None:
    """Return the release that a device has since a job, None where it is none of these."""
    asked = [step.params["artifact"] for step in spec.steps if step.action == _ACTION]
    if len(asked) != 1:
        return None
    return ahead.get(parse_artifact(str(asked[0]), where="artifact"))
