"""Modbus requests and responses as values (Modbus Application Protocol Specification V1.1b3).

Owns the server's side of the protocol data unit: function codes 3, 4, 6, 16, 17, 23 and 43/14, the
exceptions, the quantities that clause 6 allows. Leaves out registers, framing and ports.

A request that breaks a rule of its own function becomes a `Refusal` with the exception code that
the state diagrams of clause 6 give; no bytes make anything here raise.
"""

import struct
from collections.abc import Sequence
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


def identify_response(request: Identify, objects: Sequence[str]) -> bytes:
    """Return the response of function 43/14 from its basic objects 0, 1 and 2 (6.21).

    A higher category than basic is answered with what there is; a stream that starts at an unknown
    object starts over; one unknown object is exception 2.
    """
    individual = request.code == 4
    first = request.object_id
    if first >= len(objects):
        if individual:
            return exception_response(request.function, ExceptionCode.ILLEGAL_DATA_ADDRESS)
        first = 0
    chosen = range(first, first + 1 if individual else len(objects))
    conformity, more_follows, next_object = 0x81, 0, 0
    head = bytes((conformity, more_follows, next_object, len(chosen)))
    parts = (bytes((i, len(objects[i]))) + objects[i].encode("ascii") for i in chosen)
    answer = bytes((request.function, MEI_DEVICE_IDENTIFICATION, request.code)) + head
    answer += b"".join(parts)
    assert len(answer) <= PDU_BYTES, "a model's texts are bounded so that all three fit"
    return answer
