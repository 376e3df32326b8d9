"""Asks one address of a Modbus bus who is there, without knowing anything about it.

Identification (function 43, type 14), and for whoever refuses or lacks it the SunSpec common model.
Every request is a PROBE: one attempt, and everybody else goes first. Leaves out which addresses are
asked and how often (`agent.services.lookout`).
"""

import struct
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from agent.core.ports import Bus, Urgency
from agent.drivers.modbus import codec, identify
from agent.drivers.modbus.codec import Framing, Question, Refusal
from agent.drivers.modbus.identify import IdentifyQuery
from shared import limits
from shared.errors import Reason, WorldError

T = TypeVar("T")

SUNSPEC_BASES = (40_000, 50_000, 0)
"""Where a map may begin (SunSpec Device Information Model Specification, "Base address")."""
_RESERVED = 253
"""A unit number that no device behind a gateway has (Messaging on TCP/IP V1.0b, 4.4.2.3)."""
_SUNS = [0x5375, 0x6E53]
"""``SunS``."""
_COMMON = 1
_COMMON_REGISTERS = 66
"""Of the common model, ID and length apart; older ones lack the last, a pad."""
_TEXTS = {"vendor": (0, 16), "model": (16, 16), "firmware": (40, 8), "serial": (48, 16)}
"""Member of the answer: offset and length in the common model, in registers."""


@dataclass(frozen=True, slots=True)
class Answered:
    """Somebody is there."""

    vendor: str = ""
    model: str = ""
    firmware: str = ""
    serial: str = ""


class Scan:
    """The questions to one bus."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._transaction = 0
        self.network = bus.settings.url.startswith("tcp:")
        """Frames name a transaction, and a device may answer to every unit number."""
        self._framing = Framing.TCP if self.network else Framing.RTU

    async def ask(self, unit: int) -> Answered | None:
        """Return what answers at a unit number; None: nothing does.

        Raises:
            WorldError: BUS_DOWN, the port itself does not work.
        """
        try:
            answer = await self._put(IdentifyQuery(identify.EXTENDED, 0), unit)
        except WorldError as error:
            if error.reason is Reason.BUS_DOWN:
                raise
            # Noise in answer is an answer: two devices at one address speak at once.
            return Answered() if error.reason is Reason.DEVICE_BAD_FRAME else None
        if isinstance(answer, Refusal) and answer.code == codec.GATEWAY_SILENT:
            return None
        try:
            told = None if isinstance(answer, Refusal) else await self._identity(unit, answer)
            return told or await self._sunspec(unit) or Answered()
        except WorldError as error:
            if error.reason is Reason.BUS_DOWN:
                raise
            return Answered()

    async def answers_to_all(self) -> bool:
        """Tell whether a device on the network does not look at unit numbers: most do not.

        Raises:
            WorldError: BUS_DOWN.
        """
        return await self.ask(_RESERVED) is not None

    async def _identity(self, unit: int, page: identify.Page) -> Answered | None:
        objects = dict(page.objects)
        for _ in range(limits.IDENTITY_PAGES):
            if page.next_object is None:
                break
            following = await self._put(IdentifyQuery(identify.EXTENDED, page.next_object), unit)
            if isinstance(following, Refusal):
                break
            page = following
            objects |= page.objects
        told = identify.identity_of(objects)
        if not told.vendor and not told.model:
            return None
        # There is no object for it: makers put it first among their own.
        own = next((text for name, text in told.more.items() if name.startswith("x")), "")
        serial = own if own and "?" not in own else ""
        return Answered(told.vendor, told.model, told.firmware, serial)

    async def _sunspec(self, unit: int) -> Answered | None:
        async def read(first: int, count: int) -> list[int] | None:
            answer = await self._put(codec.read("holding", first, count), unit)
            return None if isinstance(answer, Refusal) else answer

        return await common_of(read)

    async def _put(self, question: Question[T], unit: int) -> T:
        self._transaction = self._transaction % 0xFFFF + 1
        decoder = codec.decoder(self._framing, question, unit=unit, transaction=self._transaction)
        return await self._bus.exchange(decoder.request, decoder, urgency=Urgency.PROBE)


async def common_of(read: Callable[[int, int], Awaitable[list[int] | None]]) -> Answered | None:
    """Return what the common model of a SunSpec map says; None: there is none.

    Args:
        read: returns so many holding registers from an address, None where there are none.
    """
    for base in SUNSPEC_BASES:
        head = await read(base, 4)
        if head is None or head[:2] != _SUNS:
            continue
        if head[2] != _COMMON or head[3] not in {_COMMON_REGISTERS, _COMMON_REGISTERS - 1}:
            return None
        words = await read(base + 4, head[3])
        if words is None:
            return None
        return Answered(**{name: text_of(words[at : at + n]) for name, (at, n) in _TEXTS.items()})
    return None


def text_of(words: Sequence[int]) -> str:
    """Return the text that registers hold, two characters each, as far as it can be shown.

    >>> text_of([0x4142, 0x4300])
    'ABC'
    """
    raw = struct.pack(f">{len(words)}H", *words).split(b"\0", 1)[0].decode("ascii", "replace")
    shown = "".join(letter if " " <= letter <= "~" else "?" for letter in raw).strip()
    return shown[: limits.IDENTITY_CHARS]
