"""Modbus requests and responses as values (Modbus Application Protocol Specification V1.1b3).

Owns the server's side of the protocol data unit: function codes 3, 4, 6, 16, 17, 23 and 43/14, the
exceptions, the quantities that clause 6 allows. Leaves out registers, framing and ports.

A request that breaks a rule of its own function becomes a `Refusal` with the exception code that
the state diagrams of clause 6 give; no bytes make anything here raise.
"""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

READ_HOLDING = 3
READ_INPUT = 4
WRITE_SINGLE = 6
WRITE_MULTIPLE = 16
REPORT_SERVER_ID = 17
READ_WRITE = 23
ENCAPSULATED = 43
MEI_DEVICE_IDENTIFICATION = 14

PDU_BYTES = 253
"""Longest PDU (clause 4.1): a 256-byte serial ADU without address and CRC."""
READ_QUANTITY = 125
"""Registers of one read (6.3, 6.4, 6.17)."""
WRITE_QUANTITY = 123
"""Registers of one write (6.12)."""
READ_WRITE_QUANTITY = 121
"""Registers written by one function 23 (6.17)."""
RUNNING = 0xFF
"""Run indicator status ON (6.13)."""


INDIVIDUAL = 4
"""Read device id code for one object (6.21)."""
_LAST_OBJECT = {1: 0x02, 2: 0x7F, 3: 0xFF}
"""Read device id code of a category -> its last object: basic, regular, extended."""
_IDENTIFICATION_HEAD = 7


class ExceptionCode(IntEnum):
    """Why a server refuses (clause 7)."""

    ILLEGAL_FUNCTION = 1
    ILLEGAL_DATA_ADDRESS = 2
    ILLEGAL_DATA_VALUE = 3
    SERVER_DEVICE_FAILURE = 4
    GATEWAY_TARGET_FAILED = 0x0B


@dataclass(frozen=True, slots=True)
class Read:
    """Read registers (6.3 holding, 6.4 input)."""

    function: int
    address: int
    count: int


@dataclass(frozen=True, slots=True)
class Write:
    """Write holding registers (6.6 one, 6.12 several)."""

    function: int
    address: int
    values: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ReadWrite:
    """Write, then read, in one transaction (6.17)."""

    function: int
    read: Read
    write: Write


@dataclass(frozen=True, slots=True)
class ReportServerId:
    """Ask what it is and whether it runs (6.13, serial line)."""

    function: int


@dataclass(frozen=True, slots=True)
class Identify:
    """Read device identification (6.21)."""

    function: int
    code: int
    """1 basic, 2 regular, 3 extended stream; 4 one object."""
    object_id: int


@dataclass(frozen=True, slots=True)
class Refusal:
    """What the server cannot do; becomes an exception response."""

    function: int
    code: ExceptionCode


Request = Read | Write | ReadWrite | ReportServerId | Identify | Refusal


def parse_request(pdu: bytes) -> Request:
    """Return the request in a PDU of at least one byte."""
    assert pdu, "a decoder never delivers an empty PDU"
    function = pdu[0]
    match function:
        case 3 | 4:
            return _parse_read(pdu)
        case 6:
            return _parse_write_single(pdu)
        case 16:
            return _parse_write_multiple(pdu)
        case 17:
            if len(pdu) == 1:
                return ReportServerId(function)
        case 23:
            return _parse_read_write(pdu)
        case 43:
            return _parse_identify(pdu)
        case _:
            return Refusal(function, ExceptionCode.ILLEGAL_FUNCTION)
    return Refusal(function, ExceptionCode.ILLEGAL_DATA_VALUE)


def _fits(address: int, count: int) -> bool:
    return address + count <= 0x10000


def _parse_read(pdu: bytes) -> Read | Refusal:
    if len(pdu) != 5:
        return Refusal(pdu[0], ExceptionCode.ILLEGAL_DATA_VALUE)
    address, count = struct.unpack(">HH", pdu[1:])
    if not 1 <= count <= READ_QUANTITY:
        return Refusal(pdu[0], ExceptionCode.ILLEGAL_DATA_VALUE)
    if not _fits(address, count):
        return Refusal(pdu[0], ExceptionCode.ILLEGAL_DATA_ADDRESS)
    return Read(pdu[0], address, count)


def _parse_write_single(pdu: bytes) -> Write | Refusal:
    if len(pdu) != 5:
        return Refusal(pdu[0], ExceptionCode.ILLEGAL_DATA_VALUE)
    address, value = struct.unpack(">HH", pdu[1:])
    return Write(pdu[0], address, (value,))


def _words(data: bytes) -> tuple[int, ...]:
    return struct.unpack(f">{len(data) // 2}H", data)


def _parse_write_multiple(pdu: bytes) -> Write | Refusal:
    if len(pdu) < 6:
        return Refusal(pdu[0], ExceptionCode.ILLEGAL_DATA_VALUE)
    address, count, size = struct.unpack(">HHB", pdu[1:6])
    if not 1 <= count <= WRITE_QUANTITY or size != 2 * count or len(pdu) != 6 + size:
        return Refusal(pdu[0], ExceptionCode.ILLEGAL_DATA_VALUE)
    if not _fits(address, count):
        return Refusal(pdu[0], ExceptionCode.ILLEGAL_DATA_ADDRESS)
    return Write(pdu[0], address, _words(pdu[6:]))


def _parse_read_write(pdu: bytes) -> ReadWrite | Refusal:
    if len(pdu) < 10:
        return Refusal(pdu[0], ExceptionCode.ILLEGAL_DATA_VALUE)
    read_at, read_count, write_at, write_count, size = struct.unpack(">HHHHB", pdu[1:10])
    sizes_agree = size == 2 * write_count and len(pdu) == 10 + size
    if (
        not 1 <= read_count <= READ_QUANTITY
        or not 1 <= write_count <= READ_WRITE_QUANTITY
        or not sizes_agree
    ):
        return Refusal(pdu[0], ExceptionCode.ILLEGAL_DATA_VALUE)
    if not _fits(read_at, read_count) or not _fits(write_at, write_count):
        return Refusal(pdu[0], ExceptionCode.ILLEGAL_DATA_ADDRESS)
    read, write = Read(pdu[0], read_at, read_count), Write(pdu[0], write_at, _words(pdu[10:]))
    return ReadWrite(pdu[0], read, write)


def _parse_identify(pdu: bytes) -> Identify | Refusal:
    if len(pdu) < 2 or pdu[1] != MEI_DEVICE_IDENTIFICATION:
        return Refusal(pdu[0], ExceptionCode.ILLEGAL_FUNCTION)
    if len(pdu) != 4 or not 1 <= pdu[2] <= 4:
        return Refusal(pdu[0], ExceptionCode.ILLEGAL_DATA_VALUE)
    return Identify(pdu[0], pdu[2], pdu[3])


# --- responses ----------------------------------------------------------------------------------
def exception_response(function: int, code: int) -> bytes:
    """Return an exception response: the function code with its top bit set, and the code."""
    return bytes((function | 0x80, code))


def read_response(function: int, words: Sequence[int]) -> bytes:
    """Return the response of functions 3, 4 and 23."""
    return struct.pack(f">BB{len(words)}H", function, 2 * len(words), *words)


def write_response(request: Write) -> bytes:
    """Return the response of functions 6 (an echo) and 16 (address and quantity)."""
    single = request.function == WRITE_SINGLE
    last = request.values[0] if single else len(request.values)
    return struct.pack(">BHH", request.function, request.address, last)


def server_id_response(unit: int, about: str) -> bytes:
    """Return the response of function 17: id, running, and a text."""
    data = bytes((unit, RUNNING)) + about.encode("ascii")
    return bytes((REPORT_SERVER_ID, len(data))) + data


def identify_response(request: Identify, objects: Mapping[int, str]) -> bytes:
    """Return the response of function 43/14 from a device's objects by their numbers (6.21).

    A stream has the objects of its category and of those below it; as many as fit, and where the
    next ones begin. One that starts at an unknown object starts over; one unknown object is
    exception 2.
    """
    individual = request.code == INDIVIDUAL
    if individual and request.object_id not in objects:
        return exception_response(request.function, ExceptionCode.ILLEGAL_DATA_ADDRESS)
    last = request.object_id if individual else _LAST_OBJECT[request.code]
    wanted = [number for number in sorted(objects) if number <= last]
    if request.object_id in wanted:
        wanted = wanted[wanted.index(request.object_id) :]
    body, shown = b"", 0
    for number in wanted:
        part = bytes((number, len(objects[number]))) + objects[number].encode("ascii")
        if _IDENTIFICATION_HEAD + len(body) + len(part) > PDU_BYTES:
            break
        body, shown = body + part, shown + 1
    left = wanted[shown:]
    assert shown, "a model's texts are bounded so that any one fits"
    conformity = 0x80 | next(code for code, most in _LAST_OBJECT.items() if max(objects) <= most)
    more = (0xFF, left[0]) if left else (0, 0)
    head = (request.function, MEI_DEVICE_IDENTIFICATION, request.code, conformity, *more, shown)
    return bytes(head) + body
