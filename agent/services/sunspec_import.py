"""Makes a profile of what a SunSpec device tells: walks its chain of models, writes TOML.

Owns the walk, bounded, and the text; registers come from the device or from a file that has them.
What models mean stands in `agent.core.sunspec`, and in the SunSpec Alliance's own files
(`agent.core.sunspec_model`). Nothing is written to the device.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import chain, count
from typing import Protocol

from agent.buses.factory import open_bus
from agent.core.ports import Bus, BusSettings, Urgency
from agent.core.sunspec import END, Found, found_of, points_of
from agent.core.sunspec_model import SunSpecModel
from agent.drivers.modbus import codec
from agent.drivers.modbus.codec import Framing, Refusal
from agent.drivers.modbus.scan import SUNSPEC_BASES, Answered, Scan, common_of
from agent.services.profile_trial import Place
from shared import limits
from shared.errors import MistakeError, Reason, WorldError

_SUNS = [0x5375, 0x6E53]
_NAME_CHARS = 40
"""Of a point of a profile."""


Models = Mapping[int, SunSpecModel]
"""Definitions by number; they go before those that are known here."""


class Registers(Protocol):
    """Holding registers of one device."""

    async def read(self, first: int, count: int) -> list[int] | None:
        """Return registers, None where the device has none."""


async def import_sunspec(place: Place, models: Iterable[SunSpecModel] = ()) -> str:
    """Return the profile of the device there.

    Raises:
        MistakeError: no such port; it has no SunSpec map, or none of the models known here.
        WorldError: nobody answers.
    """
    bus = open_bus(BusSettings(name="import", url=place.url, response_timeout_ms=place.timeout_ms))
    try:
        map_ = await _mapped(_Asked(bus, place.address), models, where=place.url)
        said = await Scan(bus).ask(place.address)
    finally:
        await bus.close()
    return map_.profile(said or Answered())


async def import_dump(registers: "Dump", models: Iterable[SunSpecModel] = ()) -> str:
    """Return the profile of the device whose registers a file holds.

    Raises:
        MistakeError: there is no SunSpec map in them, or none of the models known here.
    """
    map_ = await _mapped(registers, models, where=registers.source)
    return map_.profile(await common_of(registers.read) or Answered())


class Dump:
    """Registers that somebody wrote down, by address."""

    def __init__(self, cells: Mapping[int, int], *, source: str) -> None:
        """Take them; who counts from 1 is understood where the map says so."""
        self.source = source
        from_one = any(
            [cells.get(base + 1), cells.get(base + 2)] == _SUNS for base in SUNSPEC_BASES
        )
        self._cells = {at - from_one: word for at, word in cells.items()}

    async def read(self, first: int, count: int) -> list[int] | None:
        """Return registers, None where one of them is not in the file."""
        words = [self._cells.get(at) for at in range(first, first + count)]
        return [word for word in words if word is not None] if None not in words else None


class _Asked:
    """Holding registers, asked for."""

    def __init__(self, bus: Bus, unit: int) -> None:
        self._bus, self._unit, self._number = bus, unit, 0
        tcp = bus.settings.url.startswith("tcp:")
        self._framing = Framing.TCP if tcp else Framing.RTU

    async def read(self, first: int, count: int) -> list[int] | None:
        """Return registers, None where the device refuses them."""
        words: list[int] = []
        while len(words) < count:
            size = min(count - len(words), limits.MODBUS_REGISTERS)
            self._number += 1
            question = codec.read("holding", first + len(words), size)
            decoder = codec.decoder(
                self._framing, question, unit=self._unit, transaction=self._number % 0xFFFF
            )
            answer = await self._bus.exchange(decoder.request, decoder, urgency=Urgency.COMMAND)
            if isinstance(answer, Refusal):
                if answer.code == codec.GATEWAY_SILENT:
                    raise WorldError(Reason.DEVICE_SILENT, answer.text)
                return None
            words += answer
        return words


class _Map:
    """The chain of models of one device, and its points."""

    def __init__(self, models: Models) -> None:
        self.known, self.models = models, list[int]()
        self.found: dict[str, Found] = {}
        self.left_out = 0
        """Points for which a profile has no room."""
        self._told: set[tuple[str, int]] = set()
        """What models known here said, and the how-manieth of its number said it."""

    async def walk(self, registers: Registers, at: int) -> None:
        """Follow the chain from its first model."""
        for _ in range(limits.SUNSPEC_MODELS):
            head = await registers.read(at, 2) if at < 0xFFFE else None
            if head is None or head[0] == END:
                return
            model, size = head
            self.models.append(model)
            words = await registers.read(at + 2, size) if at + 2 + size <= 0x1_0000 else None
            number = self.models.count(model)
            if model in self.known:
                for point in found_of(self.known[model].points(words or ()), at + 2, words or ()):
                    self._add(point, model, number)
            else:
                for point in points_of(model, at + 2, words or ()):
                    # Of two models that say the same, as integers and floats, the first counts.
                    if (point.name, number) not in self._told:
                        self._told.add((point.name, number))
                        self._add(point, model, number)
            at += 2 + size

    def _add(self, point: Found, model: int, number: int) -> None:
        """Take a point, by a name of its own: models stand there twice, long names are cut."""
        if len(self.found) == limits.POINTS:
            self.left_out += 1
            return
        begins = (f"m{model}_{n}_" for n in count(max(2, number)))
        tried = (_ended(begin, point.name) for begin in chain([f"m{model}_"], begins))
        names = chain([point.name[:_NAME_CHARS].rstrip("_")], tried)
        name = next(name for name in names if name not in self.found)
        self.found[name] = replace(point, name=name)

    def profile(self, said: Answered) -> str:
        """Return the text of a profile of it."""
        return _text(said, self)


async def _mapped(registers: Registers, models: Iterable[SunSpecModel], *, where: str) -> _Map:
    map_ = _Map({model.id: model for model in models})
    for base in SUNSPEC_BASES:
        if await registers.read(base, 2) == _SUNS:
            await map_.walk(registers, base + 2)
            break
    else:
        raise MistakeError("there is no SunSpec map at 40000, 50000 or 0", where=where)
    if not map_.found:
        told = ", ".join(map(str, map_.models)) or "none"
        raise MistakeError(
            f"no model of an inverter among {told}",
            where=where,
            mend="name the files that define them: model_NNN.json of the SunSpec Alliance",
        )
    return map_


def _ended(begin: str, name: str) -> str:
    """Return a name that begins so; of a long one its end is kept, which tells it from others.

    >>> _ended("m804_", "lithium_ion_module_string_1_current_max")
    'm804_ium_ion_module_string_1_current_max'
    """
    return begin + name[len(begin) - _NAME_CHARS :].lstrip("_")


def _text(said: Answered, map_: _Map) -> str:
    vendor, model = said.vendor, said.model
    name = re.sub(r"[^a-z0-9]+", "-", f"{vendor} {model}".lower()).strip("-")[:40].strip("-")
    lines = [
        f"# From the SunSpec map of the device: models {', '.join(map(str, map_.models))}.",
        *([f"# {map_.left_out} of its points have no room here."] if map_.left_out else []),
        "profile = 1",
        f'name = "{name or "sunspec-device"}"',
        'kind = "inverter"',
        'protocol = "modbus"',
    ]
    if vendor or model:
        lines += ["", "[match]"]
        lines += [f'{key} = "{_quoted(text)}"' for key, text in _said(vendor, model) if text]
    for point in map_.found.values():
        at = point.at
        lines += ["", "[[point]]", f'name = "{point.name}"']
        place = f'table = "{at.table}", address = {at.address}, type = "{at.type}"'
        lines.append(f"at = {{ {place} }}")
        if point.scale:
            lines.append(f'scale = "1e{point.scale}"')
        if point.unit:
            lines.append(f'unit = "{point.unit}"')
        if point.counter and not at.is_float:
            lines.append('kind = "counter"')
        if point.state:
            lines.append('kind = "state"')
    return "\n".join(lines) + "\n"


def _said(vendor: str, model: str) -> tuple[tuple[str, str], ...]:
    # A star in what a device says of itself is no rule.
    return (("vendor", vendor.replace("*", "")), ("model", model.replace("*", "")))


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
