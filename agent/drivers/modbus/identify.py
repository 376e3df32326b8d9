"""Read device identification, function 43 with type 14: what a device says of itself.

Modbus Application Protocol V1.1b3, 6.21. Owns the request, its answer of unknown length, and which
of its objects mean what. Asking page after page stands in `driver`.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from agent.core.ports import Identity
from agent.drivers.modbus.codec import EXCEPTION_FLAG, Refusal
from shared import limits
from shared.errors import Reason, RefusedError

ENCAPSULATED: Final = 43
DEVICE_IDENTIFICATION: Final = 14
"""MEI type (6.21)."""
BASIC: Final = 1
REGULAR: Final = 2
EXTENDED: Final = 3
"""Read device id codes: a stream of all objects of a category and those below it."""
_HEAD: Final = 7
"""Function, type, code, conformity, more follows, next object, number of objects."""
_PDU_BYTES: Final = 253
_MORE: Final = 0xFF
_PRIVATE: Final = 0x80
"""The first object that is the maker's own."""
_NAMES: Final = ("vendor", "product", "revision", "url", "product_name", "model", "application")
"""Objects 0 to 6: 0 to 2 are basic, the others regular."""
_ALWAYS: Final = {"vendor", "revision", "model"}
"""What `Identity` has under names of its own."""


@dataclass(frozen=True, slots=True)
class Page:
    """One answer: some objects, and where the next ones begin."""

    objects: Mapping[int, bytes]
    next_object: int | None
    """None: there are no more."""
    conformity: int
    """Category that the device knows, without the bit for asking single objects."""


@dataclass(frozen=True, slots=True)
class IdentifyQuery:
    """A request for the objects of one category, from one of them on."""

    code: int = BASIC
    first: int = 0

    @property
    def function(self) -> int:
        """Return the function code."""
        return ENCAPSULATED

    @property
    def pdu(self) -> bytes:
        """Return function code and data."""
        return bytes((ENCAPSULATED, DEVICE_IDENTIFICATION, self.code, self.first))

    @property
    def answer_size(self) -> int:
        """Return how many bytes an answer has at most: nobody knows before."""
        return _PDU_BYTES

    @property
    def repeatable(self) -> bool:
        """Tell whether asking again has no second effect: it never has one."""
        return True

    def size_of(self, begun: bytes) -> int | None:
        """Return how long the answer is that begins so; see `codec.Question`."""
        if begun[1:3] != bytes((DEVICE_IDENTIFICATION, self.code))[: len(begun) - 1]:
            return None
        if len(begun) < _HEAD:
            return _HEAD
        size = _HEAD
        for _ in range(begun[_HEAD - 1]):
            size += 2
            if size > len(begun):
                return size
            size += begun[size - 1]
        return size if size <= _PDU_BYTES else None

    def decode(self, pdu: bytes) -> Page | Refusal:
        """Return what an answer says.

        Raises:
            RefusedError: it answers something else, or its lengths do not fit together.
        """
        if pdu[:1] == bytes([ENCAPSULATED | EXCEPTION_FLAG]) and len(pdu) == 2:
            return Refusal(pdu[1])
        if pdu[:1] != bytes([ENCAPSULATED]) or len(pdu) < _HEAD or self.size_of(pdu) != len(pdu):
            raise RefusedError(Reason.DEVICE_BAD_FRAME, "no identification of a device")
        _, _, _, conformity, more, following, count = struct.unpack_from(">7B", pdu)
        objects: dict[int, bytes] = {}
        at = _HEAD
        for _ in range(count):
            number, size = pdu[at], pdu[at + 1]
            objects[number] = pdu[at + 2 : at + 2 + size]
            at += 2 + size
        # A stream that does not move on would never end.
        ends = more != _MORE or not objects or following <= max(objects)
        return Page(objects, None if ends else following, conformity & 0x7F)


def identity_of(objects: Mapping[int, bytes]) -> Identity:
    """Return what the objects say, as text that can be shown, bounded."""
    named = {
        name: text
        for number, name in enumerate(_NAMES)
        if (text := _text(objects.get(number, b"")))
    }
    own = {f"x{number:02x}": _text(data) for number, data in objects.items() if number >= _PRIVATE}
    return Identity(
        vendor=named.get("vendor", ""),
        # The model's name is what people call it; its product code is what there always is.
        model=named.get("model") or named.get("product", ""),
        firmware=named.get("revision", ""),
        more={
            **{name: text for name, text in named.items() if name not in _ALWAYS},
            **dict(sorted(own.items())[: limits.IDENTITY_OBJECTS]),
        },
    )


def _text(data: bytes) -> str:
    """Return an object's text; the maker's own ones need not be any."""
    text = data.rstrip(b"\0 ").decode("ascii", "replace")
    shown = "".join(letter if " " <= letter <= "~" else "?" for letter in text)
    return shown[: limits.IDENTITY_CHARS]
