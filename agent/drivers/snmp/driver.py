"""One SNMP device: points in, readings out, over a bus that only sees frames.

Owns merging objects into requests, learning how many the device answers at once, and turning faults
into readings without values. Leaves out the port (`agent.buses.snmp`), messages (`codec`) and
arithmetic (`agent.drivers.plain`).
"""

import secrets
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Final

from agent.buses.snmp import read_community
from agent.core.ports import Bus, Identity, PointReading, Urgency
from agent.drivers import plain
from agent.drivers.snmp import codec
from agent.drivers.snmp.codec import SnmpAnswer, SnmpDecoder, encode
from agent.drivers.snmp.plan import address, dialect_of, plan
from shared.errors import MistakeError, Reason, WorldError
from shared.ids import DeviceId
from shared.model.job import Value
from shared.model.point import Point
from shared.model.profile import Profile
from shared.model.snmp_address import Oid

_NO_USE_GOING_ON: Final = {Reason.DEVICE_SILENT, Reason.BUS_DOWN}
"""Faults that the next request to the same device would only meet again, a timeout later."""
_SYSTEM: Final[Mapping[str, Oid]] = {
    "description": (1, 3, 6, 1, 2, 1, 1, 1, 0),
    "object": (1, 3, 6, 1, 2, 1, 1, 2, 0),
    "name": (1, 3, 6, 1, 2, 1, 1, 5, 0),
}
"""sysDescr, sysObjectID, sysName (RFC 3418): what every agent has."""


class SnmpDriver:
    """A device that answers SNMPv2c, as its profile says."""

    def __init__(self, device: DeviceId, bus: Bus, *, unit: int, profile: Profile) -> None:
        """Bind a device to its bus.

        Raises:
            MistakeError: such a bus carries no SNMP, or its community cannot be read.
        """
        self.device = device
        self.profile = profile
        if not bus.settings.url.startswith("snmp:"):
            raise MistakeError("SNMP is spoken over snmp:// only", where=f"device {device}")
        self._bus = bus
        self._community = read_community(bus.settings)
        self._dialect = dialect_of(profile)
        self._most = self._dialect.max_oids
        self._points = {point.name: point for point in profile.points}

    async def read(self, points: Sequence[str], *, urgency: Urgency) -> list[PointReading]:
        """Return a reading for each point, in order; see `agent.core.ports.Driver`."""
        wanted = [self._points[name] for name in dict.fromkeys(points) if name in self._points]
        found: dict[str, PointReading] = {}
        groups = deque(plan(wanted, self._most))
        while groups:
            group = groups.popleft()
            try:
                answer = await self._get([address(point).oid for point in group], urgency)
            except WorldError as error:
                found |= plain.failed(group, error.reason)
                if error.reason in _NO_USE_GOING_ON:
                    found |= plain.failed([one for rest in groups for one in rest], error.reason)
                    break
                continue
            if not answer.status:
                found |= {point.name: _reading(answer, point) for point in group}
            elif answer.status == codec.TOO_BIG and len(group) > 1:
                self._most = min(self._most, -(-len(group) // 2))
                groups.extendleft(reversed(list(plan(group, self._most))))
            elif 1 <= answer.index <= len(group):
                # One object that cannot be read now takes none of its neighbours with it.
                found |= plain.failed([group[answer.index - 1]], Reason.DEVICE_EXCEPTION)
                rest = [*group[: answer.index - 1], *group[answer.index :]]
                groups.extendleft([rest] if rest else [])
            else:
                found |= plain.failed(group, Reason.DEVICE_EXCEPTION)
        unknown = Reason.POINT_UNKNOWN
        return [found.get(name) or plain.unread(name, unknown) for name in points]

    def expected(self, values: Mapping[str, Value]) -> dict[str, int | float]:
        """Return what a read gives once a write took; see `agent.core.ports.Driver`."""
        return plain.expected(self.profile, self.device, values)

    async def write(self, values: Mapping[str, Value]) -> None:
        """Write points, as many in one request as the device takes: all of them take or none.

        See `agent.core.ports.Driver`; RFC 3416, 4.2.5.
        """
        raws = plain.raws(self.profile, self.device, values)
        done: list[str] = []
        for start in range(0, len(raws), self._most):
            part = raws[start : start + self._most]
            names = [point.name for point, _ in part]
            objects = [
                (address(point).oid, codec.written(address(point), raw)) for point, raw in part
            ]
            before = f" (written before: {', '.join(done)})" if done else ""
            try:
                answer = await self._ask(codec.SET, objects, Urgency.COMMAND)
            except WorldError as error:
                what = f"{', '.join(names)}: {error.detail}{before}"
                raise WorldError(error.reason, what) from error
            if answer.status:
                known = 1 <= answer.index <= len(names)
                whose = names[answer.index - 1] if known else ", ".join(names)
                what = f"{whose}: the device says {answer.complaint}{before}"
                raise WorldError(Reason.DEVICE_EXCEPTION, what)
            done += names

    async def identify(self) -> Identity | None:
        """Return what the device says of itself; see `agent.core.ports.Driver`."""
        wanted = {**_SYSTEM, **self._dialect.identity}
        texts: dict[str, str] = {}
        # Old agents answer a request with one unknown object with nothing but an error.
        for group in (_SYSTEM, self._dialect.identity):
            if not group:
                continue
            answer = await self._get(list(group.values()), Urgency.COMMAND)
            for name in group:
                value = answer.values.get(wanted[name])
                if not answer.status and value is not None and (text := value.text):
                    texts[name] = text
        more = {name: texts[name] for name in _SYSTEM if name in texts}
        return Identity(
            vendor=texts.get("vendor", ""),
            model=texts.get("model", "") or texts.get("description", ""),
            firmware=texts.get("firmware", ""),
            more=more,
        )

    async def _get(self, oids: Sequence[Oid], urgency: Urgency) -> SnmpAnswer:
        return await self._ask(codec.GET, [(oid, b"") for oid in oids], urgency)

    async def _ask(
        self, kind: int, objects: Sequence[tuple[Oid, bytes]], urgency: Urgency
    ) -> SnmpAnswer:
        # Numbers that nobody can guess: who cannot see the network cannot answer for the device.
        number = secrets.randbelow(1 << 31)
        decoder = SnmpDecoder(
            number=number, community=self._community, repeatable=kind == codec.GET
        )
        request = encode(kind, self._community, number, objects)
        try:
            return await self._bus.exchange(request, decoder, urgency=urgency)
        except WorldError as error:
            if error.reason is Reason.DEVICE_SILENT:
                detail = f"{error.detail}; a wrong community is met with silence too"
                raise WorldError(error.reason, detail) from error
            raise


def _reading(answer: SnmpAnswer, point: Point) -> PointReading:
    at = address(point)
    value = answer.values.get(at.oid)
    if value is None or value.missing:
        return plain.unread(point.name, Reason.POINT_UNKNOWN)
    return plain.reading(point, value.count(at))
