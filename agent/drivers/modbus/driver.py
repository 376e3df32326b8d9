"""One Modbus device: points in, readings out, over a bus that only sees frames.

Owns what the device has taught us (which merged reads it refuses, whether it knows the short write)
and turns faults into readings without values. Leaves out the port (`agent.buses`), the bytes
(`codec`) and the arithmetic (`plan`, `values`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from agent.core.ports import Bus, Identity, PointReading, Urgency
from agent.drivers.modbus import codec, identify, values
from agent.drivers.modbus.codec import Framing, Question, Refusal
from agent.drivers.modbus.identify import IdentifyQuery
from agent.drivers.modbus.plan import Block, plan, split
from shared import limits
from shared.errors import MistakeError, Reason, WorldError
from shared.ids import DeviceId
from shared.model.job import Value
from shared.model.profile import Point, Profile
from shared.model.reading import Quality

T = TypeVar("T")

_NOT_THERE = {codec.ILLEGAL_ADDRESS, codec.ILLEGAL_VALUE}
"""Exceptions that blame the block asked for, not the device's state."""
_NO_USE_GOING_ON = {Reason.DEVICE_SILENT, Reason.BUS_DOWN}
"""Faults that the next request to the same device would only meet again, a timeout later."""


@dataclass(slots=True)
class _InVain:
    """A refused block of which no piece was answered either."""

    pause: int = 1
    left: int = 1
    """Polls before it is taken apart again."""


class ModbusDriver:
    """A device with a unit number, spoken to as its profile says."""

    def __init__(self, device: DeviceId, bus: Bus, *, unit: int, profile: Profile) -> None:
        """Bind a device to its bus.

        Raises:
            MistakeError: such a bus carries no Modbus, or no device can have that unit number.
        """
        self.device = device
        self.profile = profile
        if not bus.settings.url.startswith(("serial:", "rtu+tcp:", "tcp:")):
            what = "Modbus is spoken over serial://, rtu+tcp:// and tcp:// only"
            raise MistakeError(what, where=f"device {device}")
        self._bus = bus
        self._unit = unit
        self._framing = Framing.TCP if bus.settings.url.startswith("tcp:") else Framing.RTU
        low, high = (0, 255) if self._framing is Framing.TCP else (1, 247)
        if not low <= unit <= high:
            raise MistakeError(
                f"address {unit} is no Modbus unit",
                where=f"device {device}",
                mend=f"on this bus units go from {low} to {high}",
            )
        self._points = {point.name: point for point in profile.points}
        self._plans: dict[tuple[str, ...], list[Block]] = {}
        self._in_vain: dict[tuple[str, int, int], _InVain] = {}
        """By table, address and count."""
        self._transaction = 0
        self._only_long_writes = False

    async def read(self, points: Sequence[str], *, urgency: Urgency) -> list[PointReading]:
        """Return a reading for each point, in order; see `agent.core.ports.Driver`."""
        names = tuple(points)
        found: dict[str, PointReading] = {}
        blocks = self._plan(names)
        _, learned = await self._read_blocks(blocks, urgency, found)
        if len(learned) != len(blocks) and names in self._plans:
            self._plans[names] = learned
        unknown = Reason.POINT_UNKNOWN
        return [found.get(name) or values.unread(name, unknown) for name in names]

    def expected(self, values_by_point: Mapping[str, Value]) -> dict[str, int | float]:
        """Return what a read gives once a write took; see `agent.core.ports.Driver`."""
        expected: dict[str, int | float] = {}
        for point, words in self._encode(values_by_point):
            value = values.reading(point, words).value
            assert value is not None, "what was encoded decodes"
            expected[point.name] = value
        return expected

    async def write(self, values_by_point: Mapping[str, Value]) -> None:
        """Write points, one request each, in the order given; see `agent.core.ports.Driver`.

        A request that got no answer is not sent again: the device may have obeyed it.
        """
        done: list[str] = []
        for point, words in self._encode(values_by_point):
            try:
                await self._write_point(point, words)
            except WorldError as error:
                written = f" (written before: {', '.join(done)})" if done else ""
                raise WorldError(error.reason, f"{point.name}: {error.detail}{written}") from error
            done.append(point.name)

    async def identify(self) -> Identity | None:
        """Return what the device says of itself; see `agent.core.ports.Driver`.

        A device that does not know a category answers with what it has (6.21); those that refuse
        it all the same are asked for less.
        """
        for code in (identify.EXTENDED, identify.REGULAR, identify.BASIC):
            answer = await self._stream(code)
            if not isinstance(answer, Refusal):
                return identify.identity_of(answer) if answer else None
            if answer.code == codec.GATEWAY_SILENT:
                raise WorldError(Reason.DEVICE_SILENT, answer.text)
            if answer.code == codec.ILLEGAL_FUNCTION:
                return None
        return None

    async def _stream(self, code: int) -> Mapping[int, bytes] | Refusal:
        """Return all objects of a category; what was told before a refusal counts."""
        objects: dict[int, bytes] = {}
        first: int | None = 0
        for _ in range(limits.IDENTITY_PAGES):
            if first is None:
                break
            page = await self._ask(IdentifyQuery(code, first))
            if isinstance(page, Refusal):
                return objects or page
            objects |= page.objects
            first = page.next_object
        return objects

    # --- reading ---------------------------------------------------------------------------------

    def _plan(self, names: tuple[str, ...]) -> list[Block]:
        """Return the requests for a set of points, as the device has taught us to ask."""
        if (known := self._plans.get(names)) is not None:
            return known
        wanted = {name: self._points[name] for name in names if name in self._points}
        blocks = plan(wanted.values(), self.profile.limits)
        if len(self._plans) < limits.READ_PLANS:
            self._plans[names] = blocks
        return blocks

    async def _read_blocks(
        self, blocks: Sequence[Block], urgency: Urgency, found: dict[str, PointReading]
    ) -> tuple[Reason | None, list[Block]]:
        """Read blocks into `found`; return the last fault and the blocks to ask for next time."""
        fault: Reason | None = None
        learned: list[Block] = []
        for block in blocks:
            if fault in _NO_USE_GOING_ON:
                better = _fail(found, block, fault)
            else:
                fault, better = await self._read_block(block, urgency, found)
            learned.extend(better)
        return fault, learned

    async def _read_block(
        self, block: Block, urgency: Urgency, found: dict[str, PointReading]
    ) -> tuple[Reason | None, list[Block]]:
        """Read one block; one that is refused is taken apart, and stays so if that helped."""
        try:
            answer = await self._ask(codec.read(block.table, block.address, block.count), urgency)
        except WorldError as error:
            return error.reason, _fail(found, block, error.reason)
        if isinstance(answer, list):
            for point in block.points:
                found[point.name] = values.reading(point, block.words_of(point, answer))
            self._in_vain.pop(_key(block), None)
            return None, [block]
        if answer.code == codec.GATEWAY_SILENT:
            return Reason.DEVICE_SILENT, _fail(found, block, Reason.DEVICE_SILENT)
        parts = self._parts(block, urgency) if answer.code in _NOT_THERE else []
        if not parts:
            return Reason.DEVICE_EXCEPTION, _fail(found, block, Reason.DEVICE_EXCEPTION)
        fault, learned = await self._read_blocks(parts, urgency, found)
        if any(found[point.name].quality is not Quality.BAD_COMM for point in block.points):
            self._in_vain.pop(_key(block), None)
            return fault, learned
        if fault not in _NO_USE_GOING_ON:
            self._note_in_vain(block)
        return fault, [block]

    def _parts(self, block: Block, urgency: Urgency) -> list[Block]:
        """Return the pieces to try of a refused block; a poll tries ever more rarely in vain."""
        in_vain = self._in_vain.get(_key(block))
        if urgency is not Urgency.COMMAND and in_vain is not None and in_vain.left:
            in_vain.left -= 1
            return []
        parts = split(block, self.profile.limits)
        for part in parts:
            self._in_vain.pop(_key(part), None)
        return parts

    def _note_in_vain(self, block: Block) -> None:
        before = self._in_vain.get(_key(block))
        pause = 1 if before is None else min(2 * before.pause, limits.SPLIT_PAUSE)
        self._in_vain[_key(block)] = _InVain(pause, pause)

    # --- writing ---------------------------------------------------------------------------------

    def _encode(self, values_by_point: Mapping[str, Value]) -> list[tuple[Point, list[int]]]:
        """Return every point with its registers, before anything is sent."""
        encoded: list[tuple[Point, list[int]]] = []
        for name, value in values_by_point.items():
            point = self._points.get(name)
            if point is None:
                raise MistakeError(
                    f"profile {self.profile.name} has no point {name[:60]!r}",
                    where=f"device {self.device}",
                )
            encoded.append((point, values.registers(point, value)))
        return encoded

    async def _write_point(self, point: Point, words: list[int]) -> None:
        at = point.register
        long = self._only_long_writes
        answer = await self._ask(codec.write(at.table, at.address, words, multiple=long))
        refused_short = isinstance(answer, Refusal) and answer.code == codec.ILLEGAL_FUNCTION
        if refused_short and len(words) == 1 and not long:
            # Some devices know only the long form; a function they do not have had no effect.
            answer = await self._ask(codec.write(at.table, at.address, words, multiple=True))
            self._only_long_writes = not isinstance(answer, Refusal)
        if isinstance(answer, Refusal) and answer.code == codec.GATEWAY_SILENT:
            # The gateway is heard, the device is not: it may have obeyed.
            raise WorldError(Reason.DEVICE_SILENT, answer.text)
        if isinstance(answer, Refusal):
            raise WorldError(Reason.DEVICE_EXCEPTION, answer.text)

    async def _ask(self, query: Question[T], urgency: Urgency = Urgency.COMMAND) -> T:
        self._transaction = self._transaction % 0xFFFF + 1
        decoder = codec.decoder(
            self._framing, query, unit=self._unit, transaction=self._transaction
        )
        return await self._bus.exchange(decoder.request, decoder, urgency=urgency)


def _key(block: Block) -> tuple[str, int, int]:
    return block.table, block.address, block.count


def _fail(found: dict[str, PointReading], block: Block, reason: Reason | None) -> list[Block]:
    """Give a block's points no value; return the block, to be asked for again."""
    assert reason is not None, "a reading without a value says why"
    for point in block.points:
        found[point.name] = values.unread(point.name, reason)
    return [block]
