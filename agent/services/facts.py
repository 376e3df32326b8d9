"""Finds out what conditions ask: points are read now, ahead of the polls; the rest is known.

Owns reaching for facts. What their names mean stands in `agent.core.facts` and
`shared.model.facts`; a fact nobody can tell is left out, and so unknown.
"""

from collections.abc import Callable, Iterable, Mapping

from agent.core.device import DeviceSettings
from agent.core.facts import SAID, point_names, wanted
from agent.core.ports import Driver, Urgency
from shared.errors import WorldError
from shared.ids import DeviceId
from shared.model.condition import Condition, Known
from shared.model.job import Value
from shared.model.reading import Quality

AgentFacts = Callable[[], Mapping[str, Value]]
"""Returns what is known of the box and its link now."""


class Facts:
    """Answers for conditions, about one agent and its devices."""

    def __init__(
        self, devices: Mapping[DeviceId, tuple[DeviceSettings, Driver]], agent: AgentFacts
    ) -> None:
        self._devices, self._agent = devices, agent

    async def find(self, names: Iterable[str], device: DeviceId) -> dict[str, Value]:
        """Return the facts of these names, as far as anybody can tell; raises nothing.

        Args:
            names: as conditions name them.
            device: the one in work; empty for work of the agent itself.
        """
        asked = wanted(names, device, self._devices.keys())
        told = self._agent() if asked.agent else {}
        found: dict[str, Value] = {name: told[name] for name in asked.agent if name in told}
        answered: dict[DeviceId, bool] = {}
        for one, points in asked.points.items():
            values = await self._read(one, points)
            answered[one] = bool(values)
            for point, value in values.items():
                found |= dict.fromkeys(point_names(one, point, in_work=device), value)
        if asked.device and device in self._devices:
            found |= {
                name: value
                for name, value in self._own(device, up=answered.get(device)).items()
                if name in asked.device
            }
            if asked.device & SAID:
                said = await self._said(device)
                found |= {name: text for name, text in said.items() if name in asked.device}
        return found

    async def holds(
        self, condition: Condition, device: DeviceId, own: Mapping[str, Value]
    ) -> bool | None:
        """Return what a condition says now.

        Args:
            condition: whatever it names is found out first.
            device: the one in work.
            own: facts that the task brings itself; they go before all others.
        """
        found = await self.find(condition.names - own.keys(), device)

        def look(name: str) -> Known:
            return own[name] if name in own else found.get(name)

        return condition.evaluate(look)

    async def _read(self, device: DeviceId, points: tuple[str, ...]) -> dict[str, Value]:
        settings, driver = self._devices[device]
        possible = [point for point in points if settings.profile.point(point) is not None]
        if not possible:
            return {}
        readings = await driver.read(possible, urgency=Urgency.COMMAND)
        return {
            one.point: one.value
            for one in readings
            if one.value is not None and one.quality in {Quality.GOOD, Quality.UNCERTAIN}
        }

    async def _said(self, device: DeviceId) -> dict[str, Value]:
        """Ask a device what it is; what it does not say, or does not answer, is unknown."""
        _, driver = self._devices[device]
        try:
            identity = await driver.identify()
        except WorldError:
            return {}
        if identity is None:
            return {}
        said = {"vendor": identity.vendor, "model": identity.model, "firmware": identity.firmware}
        return {f"device.{name}": text for name, text in said.items() if text}

    def _own(self, device: DeviceId, *, up: bool | None) -> dict[str, Value]:
        settings, _ = self._devices[device]
        facts: dict[str, Value] = {
            "device.id": device,
            "device.kind": settings.profile.kind,
            "device.profile": settings.profile.name,
        }
        return facts if up is None else {**facts, "device.up": up}
