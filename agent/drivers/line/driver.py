"""One device that speaks lines of text: points in, readings out, over a bus that only sees frames.

Owns the choice of the exchange and turning faults into readings without values. Leaves out the port
(`agent.buses`), lines (`framing`, `codec`, `sdi12`) and arithmetic (`agent.drivers.plain`).
"""

from collections.abc import Mapping, Sequence
from typing import Final

from agent.core.ports import Bus, Identity, PointReading, Urgency
from agent.drivers import plain
from agent.drivers.line.codec import Asked, Fields, Heard, Refusal
from agent.drivers.line.plan import address, dialect_of, plan
from agent.drivers.line.sdi12 import Identify, Measure
from shared import limits
from shared.errors import MistakeError, Reason, WorldError
from shared.ids import DeviceId
from shared.model.job import Value
from shared.model.line_address import LineRequest
from shared.model.point import Point
from shared.model.profile import Profile

_NO_USE_GOING_ON: Final = {Reason.DEVICE_SILENT, Reason.BUS_DOWN}
"""Faults that the next request to the same device would only meet again, a timeout later."""
_IDENTITY: Final = "identity"
"""The request that a profile may have for maker, model and firmware."""
_HEMISPHERE: Final = 1
"""A place's hemisphere stands in the field behind its degrees (NMEA 0183)."""


class LineDriver:
    """A device that speaks lines, as its profile says."""

    def __init__(self, device: DeviceId, bus: Bus, *, unit: int, profile: Profile) -> None:
        """Bind a device to its bus.

        Raises:
            MistakeError: such a bus carries no lines.
        """
        self.device = device
        self.profile = profile
        if not bus.settings.url.startswith(("serial:", "tcp:", "rtu+tcp:")):
            what = "lines are spoken over serial://, tcp:// and rtu+tcp:// only"
            raise MistakeError(what, where=f"device {device}")
        self._bus = bus
        self._unit = unit
        self._dialect = dialect_of(profile)
        self._points = {point.name: point for point in profile.points}

    async def read(self, points: Sequence[str], *, urgency: Urgency) -> list[PointReading]:
        """Return a reading for each point, in order; see `agent.core.ports.Driver`."""
        wanted = {name: self._points[name] for name in points if name in self._points}
        groups = plan(wanted.values())
        if self._dialect.talk == "listen":
            found = await self._listen(groups, urgency) if groups else {}
        else:
            found = await self._ask_all(groups, urgency)
        unknown = Reason.POINT_UNKNOWN
        return [found.get(name) or plain.unread(name, unknown) for name in points]

    async def _ask_all(
        self, groups: Mapping[str, Sequence[Point]], urgency: Urgency
    ) -> dict[str, PointReading]:
        found: dict[str, PointReading] = {}
        fault: Reason | None = None
        for source, group in groups.items():
            if fault in _NO_USE_GOING_ON:
                found |= plain.failed(group, fault)
                continue
            try:
                fields = await self._fields(source, group[0], urgency)
                fault = Reason.DEVICE_EXCEPTION if isinstance(fields, Refusal) else None
            except WorldError as error:
                fields, fault = [], error.reason
            if fault is not None or isinstance(fields, Refusal):
                found |= plain.failed(group, fault)
            else:
                found |= _readings(group, fields)
        return found

    async def _fields(self, source: str, point: Point, urgency: Urgency) -> Fields | Refusal:
        """Return what the line that answers for a group of points says."""
        at = address(point)
        if self._dialect.talk == "sdi12":
            wait_ms = self._dialect.wait_ms
            measure = Measure(self._unit, source, wait_ms=wait_ms, crc=at.crc)
            return await self._bus.exchange(measure.frame, measure, urgency=urgency)
        assert at.request is not None, "who asks has a request"
        asked = Asked(self._dialect, at.request, address=self._unit)
        return await self._bus.exchange(asked.frame, asked, urgency=urgency)

    async def _listen(
        self, groups: Mapping[str, Sequence[Point]], urgency: Urgency
    ) -> dict[str, PointReading]:
        """Wait for the sentences of all points; those that came count, also if others did not."""
        heard = Heard(self._dialect, groups, unit=self._unit)
        fault = Reason.DEVICE_SILENT
        try:
            await self._bus.exchange(heard.frame, heard, urgency=urgency)
        except WorldError as error:
            # Whose sentences are heard is not silent: those that are missing just do not come.
            fault = Reason.POINT_UNKNOWN if heard.found else error.reason
        found: dict[str, PointReading] = {}
        for source, group in groups.items():
            fields = heard.found.get(source)
            found |= plain.failed(group, fault) if fields is None else _readings(group, fields)
        return found

    def expected(self, values: Mapping[str, Value]) -> dict[str, int | float]:
        """Return what a read gives once a write took; see `agent.core.ports.Driver`."""
        expected: dict[str, int | float] = {}
        for point, raw in plain.raws(self.profile, self.device, values):
            value = plain.reading(point, address(point).form.read(_text(point, raw))).value
            assert value is not None, "what can be written reads"
            expected[point.name] = value
        return expected

    async def write(self, values: Mapping[str, Value]) -> None:
        """Write points, one request each, in the order given; see `agent.core.ports.Driver`."""
        done: list[str] = []
        for point, raw in plain.raws(self.profile, self.device, values):
            write = address(point).write
            assert write is not None, "only writable points have raw counts to write"
            try:
                await self._told(write, _text(point, raw))
            except WorldError as error:
                before = f" (written before: {', '.join(done)})" if done else ""
                raise WorldError(error.reason, f"{point.name}: {error.detail}{before}") from error
            done.append(point.name)

    async def identify(self) -> Identity | None:
        """Return what the device says of itself; see `agent.core.ports.Driver`.

        SDI-12 has a command for it; others have, where the profile has a request ``identity``.
        """
        if self._dialect.talk == "sdi12":
            ask = Identify(self._unit)
            told = await self._bus.exchange(ask.frame, ask, urgency=Urgency.COMMAND)
            more = {"sdi12": told.version, **({"more": told.more} if told.more else {})}
            return Identity(vendor=told.vendor, model=told.model, firmware=told.firmware, more=more)
        request = next((one for one in self._dialect.requests if one.name == _IDENTITY), None)
        if request is None:
            return None
        texts = [text[: limits.IDENTITY_CHARS] for text in await self._told(request)]
        vendor, model, firmware = (*texts, "", "", "")[:3]
        return Identity(vendor=vendor, model=model, firmware=firmware)

    async def _told(self, request: LineRequest, value: str = "") -> Fields:
        asked = Asked(self._dialect, request, address=self._unit, value=value)
        answer: Fields | Refusal = await self._bus.exchange(
            asked.frame, asked, urgency=Urgency.COMMAND
        )
        if isinstance(answer, Refusal):
            raise WorldError(Reason.DEVICE_EXCEPTION, f"the device says: {answer.text[:60]}")
        return answer


def _readings(group: Sequence[Point], fields: Fields) -> dict[str, PointReading]:
    """Return what the fields of one line say of its points; an empty field has no value."""
    found: dict[str, PointReading] = {}
    for point in group:
        at = address(point)
        last = at.field + (_HEMISPHERE if at.type == "degrees" else 0)
        text = "".join(fields[at.field : last + 1])
        found[point.name] = (
            plain.reading(point, at.form.read(text))
            if text
            else plain.unread(point.name, Reason.POINT_UNKNOWN)
        )
    return found


def _text(point: Point, raw: float) -> str:
    return address(point).form.text(raw)
