"""One SMP device: points in, readings out; and the way firmware gets into it.

Owns turning faults into readings without values. Leaves out the port (`agent.buses`), packets
(`packet`, `codec`), commands (`client`), arithmetic (`values`) and uploads (`upload`).
"""

from collections.abc import Mapping, Sequence

from agent.core.ports import Bus, Identity, PointReading, Urgency
from agent.drivers.smp import values
from agent.drivers.smp.client import Client
from agent.drivers.smp.files import SmpFiles
from agent.drivers.smp.packet import Refusal
from agent.drivers.smp.plan import plan
from agent.drivers.smp.upload import SmpFirmware
from shared.errors import MistakeError, Reason, WorldError
from shared.ids import DeviceId
from shared.model.job import Value
from shared.model.point import Point
from shared.model.profile import Profile
from shared.model.smp_address import SmpPlace

_NO_USE_GOING_ON = {Reason.DEVICE_SILENT, Reason.BUS_DOWN}
"""Faults that the next request to the same device would only meet again, a timeout later."""
_INFO = {"i": "platform", "o": "os", "r": "release", "b": "built", "m": "machine"}
"""Letters of the info command that say something of a device, and what."""


class SmpDriver:
    """A device that speaks MCUmgr's protocol, as its profile says."""

    def __init__(self, device: DeviceId, bus: Bus, *, unit: int, profile: Profile) -> None:
        """Bind a device to its bus.

        Raises:
            MistakeError: such a bus carries no SMP.
        """
        self.device = device
        self.profile = profile
        if not bus.settings.url.startswith(("serial:", "udp:")):
            raise MistakeError(
                "SMP is spoken over serial:// and udp:// only", where=f"device {device}"
            )
        self.client = Client(bus, unit=unit)
        """For whoever asks the device something that is no point."""
        self._firmware, self._files = SmpFirmware(self.client), SmpFiles(self.client)
        self._points = {point.name: point for point in profile.points}

    @property
    def firmware(self) -> SmpFirmware:
        """Return the way firmware gets into it."""
        return self._firmware

    @property
    def files(self) -> SmpFiles:
        """Return the way to its files."""
        return self._files

    async def read(self, points: Sequence[str], *, urgency: Urgency) -> list[PointReading]:
        """Return a reading for each point, in order; see `agent.core.ports.Driver`."""
        found: dict[str, PointReading] = {}
        wanted = {name: self._points[name] for name in points if name in self._points}
        fault: Reason | None = None
        for (place, name), group in plan(wanted.values()).items():
            if fault in _NO_USE_GOING_ON:
                found |= _failed(group, fault)
                continue
            try:
                found |= await self._read(place, name, group, urgency)
                fault = None
            except WorldError as error:
                fault = error.reason
                found |= _failed(group, fault)
        unknown = Reason.POINT_UNKNOWN
        return [found.get(name) or values.unread(name, unknown) for name in points]

    async def _read(
        self, place: SmpPlace, name: str, group: Sequence[Point], urgency: Urgency
    ) -> dict[str, PointReading]:
        """Read one group of statistics, what is known of one file, or one setting."""
        if place != "setting":
            fields = await self._fields(place, name, group, urgency)
            if isinstance(fields, Refusal):
                return _failed(group, Reason.DEVICE_EXCEPTION)
            told = {point.name: fields.get(values.address(point).field) for point in group}
            return {point.name: values.statistic(point, told[point.name]) for point in group}
        data = await self.client.setting(name, urgency)
        if isinstance(data, Refusal):
            return _failed(group, Reason.DEVICE_EXCEPTION)
        return {point.name: values.setting(point, data) for point in group}

    async def _fields(
        self, place: SmpPlace, name: str, group: Sequence[Point], urgency: Urgency
    ) -> Mapping[str, object] | Refusal:
        if place == "stat":
            return await self.client.statistics(name, urgency)
        checked = any(values.address(point).field == "crc32" for point in group)
        return await self.client.file(name, urgency, checked=checked)

    def expected(self, values_by_point: Mapping[str, Value]) -> dict[str, int | float]:
        """Return what a read gives once a write took; see `agent.core.ports.Driver`."""
        expected: dict[str, int | float] = {}
        for point, data in self._encode(values_by_point):
            value = values.setting(point, data).value
            assert value is not None, "what was encoded decodes"
            expected[point.name] = value
        return expected

    async def write(self, values_by_point: Mapping[str, Value]) -> None:
        """Write settings, one request each, in the order given; see `agent.core.ports.Driver`."""
        done: list[str] = []
        for point, data in self._encode(values_by_point):
            try:
                await self.client.set_setting(values.address(point).name, data)
            except WorldError as error:
                written = f" (written before: {', '.join(done)})" if done else ""
                raise WorldError(error.reason, f"{point.name}: {error.detail}{written}") from error
            done.append(point.name)

    async def identify(self) -> Identity | None:
        """Return what the device says of itself; see `agent.core.ports.Driver`."""
        told = {what: await self.client.info(letter) for letter, what in _INFO.items()}
        version = ""
        try:
            slots = await self.client.slots()
            version = next((one.version for one in slots if one.active), "")
        except WorldError as error:
            # A device without image management still says what it is.
            if error.reason is not Reason.DEVICE_EXCEPTION:
                raise
        more = {what: text for what, text in told.items() if text and what != "platform"}
        return Identity(model=told["platform"], firmware=version, more=more)

    def _encode(self, values_by_point: Mapping[str, Value]) -> list[tuple[Point, bytes]]:
        """Return every point with its bytes, before anything is sent."""
        encoded: list[tuple[Point, bytes]] = []
        for name, value in values_by_point.items():
            point = self._points.get(name)
            if point is None:
                raise MistakeError(
                    f"profile {self.profile.name} has no point {name[:60]!r}",
                    where=f"device {self.device}",
                )
            encoded.append((point, values.encoded(point, value)))
        return encoded


def _failed(group: Sequence[Point], reason: Reason | None) -> dict[str, PointReading]:
    assert reason is not None, "a reading without a value says why"
    return {point.name: values.unread(point.name, reason) for point in group}
