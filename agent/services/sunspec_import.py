"""Makes a profile of what a SunSpec device tells: walks its chain of models, writes TOML.

Owns the walk, bounded, and the text. What models mean stands in `agent.core.sunspec`. Nothing is
written to the device.
"""

import re
from collections.abc import Sequence

from agent.buses.factory import open_bus
from agent.core.ports import Bus, BusSettings, Urgency
from agent.core.sunspec import END, Found, points_of
from agent.drivers.modbus import codec
from agent.drivers.modbus.codec import Framing, Refusal
from agent.drivers.modbus.scan import SUNSPEC_BASES, Scan
from agent.services.profile_trial import Place
from shared import limits
from shared.errors import MistakeError, Reason, WorldError

_SUNS = [0x5375, 0x6E53]


async def import_sunspec(place: Place) -> str:
    """Return the profile of the device there.

    Raises:
        MistakeError: no such port; it has no SunSpec map, or none of the models known here.
        WorldError: nobody answers.
    """
    bus = open_bus(BusSettings(name="import", url=place.url, response_timeout_ms=place.timeout_ms))
    try:
        registers = _Registers(bus, place.address)
        base = await _base(registers)
        if base is None:
            raise MistakeError("there is no SunSpec map at 40000, 50000 or 0", where=place.url)
        models, found = await _walk(registers, base + 2)
        said = await Scan(bus).ask(place.address)
    finally:
        await bus.close()
    if not found:
        told = ", ".join(map(str, models)) or "none"
        raise MistakeError(f"no model of an inverter among {told}", where=place.url)
    return _text(said.vendor if said else "", said.model if said else "", models, found)


class _Registers:
    """Holding registers of one device."""

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


async def _base(registers: _Registers) -> int | None:
    for base in SUNSPEC_BASES:
        if await registers.read(base, 2) == _SUNS:
            return base
    return None


async def _walk(registers: _Registers, at: int) -> tuple[list[int], list[Found]]:
    models: list[int] = []
    found: dict[str, Found] = {}
    for _ in range(limits.SUNSPEC_MODELS):
        head = await registers.read(at, 2) if at < 0xFFFE else None
        if head is None or head[0] == END:
            break
        model, size = head
        models.append(model)
        words = await registers.read(at + 2, size) if at + 2 + size <= 0x1_0000 else None
        for point in points_of(model, at + 2, words or ()):
            # Of two models that say the same, as integers and floats, the first counts.
            found.setdefault(point.name, point)
        at += 2 + size
    return models, list(found.values())[: limits.POINTS]


def _text(vendor: str, model: str, models: Sequence[int], found: Sequence[Found]) -> str:
    name = re.sub(r"[^a-z0-9]+", "-", f"{vendor} {model}".lower()).strip("-")[:40].strip("-")
    lines = [
        f"# From the SunSpec map of the device: models {', '.join(map(str, models))}.",
        "profile = 1",
        f'name = "{name or "sunspec-device"}"',
        'kind = "inverter"',
        'protocol = "modbus"',
    ]
    if vendor or model:
        lines += ["", "[match]"]
        lines += [f'{key} = "{_quoted(text)}"' for key, text in _said(vendor, model) if text]
    for point in found:
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
