"""Whom a job is really for, where it chooses devices by what they say of themselves.

Asked when a device's turn comes, right before the first step, so that the set is that of now: a
device that was exchanged, or updated by somebody else, is another one. Leaves out what the agent
knows without asking (`agent.core.queue.plan_job`).
"""

from collections.abc import Mapping

from agent.core.device import DeviceSettings
from agent.core.executor import Claim
from agent.core.ports import Driver, Identity
from agent.core.queue import Problem
from agent.store.devices import DeviceMemory
from shared.errors import Reason, WorldError
from shared.ids import DeviceId
from shared.model.identity import IDENTITY_KEYS, SAID
from shared.model.selector import Requirement, parse_selector

_NOTHING = Identity()


class Selection:
    """Asks devices what they are."""

    def __init__(
        self, devices: Mapping[DeviceId, tuple[DeviceSettings, Driver]], memory: DeviceMemory
    ) -> None:
        self._devices, self._memory = devices, memory

    async def judge(self, claim: Claim) -> Problem | None:
        """Return why a job does nothing on a device, None where the device is as it chooses.

        NOT_SELECTED: it is not one of those, by its own word, now or when it spoke last; also one
        that is silent and never said what it is. Any other reason: it was one of those when it
        spoke last, and cannot be asked now.
        """
        found = self._devices.get(claim.device)
        if found is None:
            detail = f"{claim.device} is no longer attached"
            return Problem(Reason.NO_MATCHING_DEVICE, detail)
        settings, driver = found
        fault: WorldError | None = None
        try:
            said = await driver.identify()
        except WorldError as error:
            fault, said = error, await self._memory.said(claim.device)
            if said is None:
                detail = "it does not answer, and never said what it is"
                return Problem(Reason.NOT_SELECTED, detail)
        else:
            if said is not None:
                await self._memory.heard(claim.device, said)
        labels = {**settings.selector_labels(), **_words(said or _NOTHING)}
        wanted = parse_selector(claim.spec.targets.device_selector).about(SAID, only=True)
        for clause in wanted.requirements:
            if not clause.holds(labels):
                return Problem(Reason.NOT_SELECTED, _why(clause, labels, by_memory=bool(fault)))
        return None if fault is None else Problem(fault.reason, fault.detail)


def _words(said: Identity) -> dict[str, str]:
    """Return what a device says as labels; where it says nothing, the operator's word counts."""
    return {key: text for key in IDENTITY_KEYS if (text := getattr(said, key))}


def _why(clause: Requirement, labels: Mapping[str, str], *, by_memory: bool) -> str:
    last = ", when it last said" if by_memory else ""
    if clause.key not in labels:
        return f"it does not say its {clause.key}{last}"
    return f"its {clause.key} is {labels[clause.key]}{last}"
