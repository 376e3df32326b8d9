"""Modbus frames without a port: queries to bytes, bytes to answers.

Owns framing for a serial line (Modbus over Serial Line V1.02, 2.5.1) and for TCP (Messaging on
TCP/IP V1.0b, 3.1.3) as feedable decoders that tolerate noise before an answer and take nothing
that was not asked for. Requests and payloads are pymodbus' (docs/adr/0005). Leaves out which
registers to ask for (`plan`) and what they mean (`values`).
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final, Generic, Protocol, TypeVar

from pymodbus.framer import FramerRTU, FramerSocket
from pymodbus.pdu import DecodePDU, ModbusPDU, bit_message, register_message

from agent.core.ports import FrameDecoder
from shared import limits
from shared.errors import Reason, RefusedError
from shared.model.registers import BIT_TABLES, Table

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Framing(Enum):
    """How a protocol data unit becomes a frame."""

    RTU = "rtu"
    TCP = "tcp"


READ_FUNCTIONS: Final[dict[Table, int]] = {"coil": 1, "discrete": 2, "holding": 3, "input": 4}
WRITE_COIL: Final = 5
WRITE_REGISTER: Final = 6
WRITE_COILS: Final = 15
WRITE_REGISTERS: Final = 16

_CLASSES: dict[int, tuple[type[ModbusPDU], type[ModbusPDU]]] = {
    1: (bit_message.ReadCoilsRequest, bit_message.ReadCoilsResponse),
    2: (bit_message.ReadDiscreteInputsRequest, bit_message.ReadDiscreteInputsResponse),
    3: (
        register_message.ReadHoldingRegistersRequest,
        register_message.ReadHoldingRegistersResponse,
    ),
    4: (register_message.ReadInputRegistersRequest, register_message.ReadInputRegistersResponse),
    5: (bit_message.WriteSingleCoilRequest, bit_message.WriteSingleCoilResponse),
    6: (register_message.WriteSingleRegisterRequest, register_message.WriteSingleRegisterResponse),
    15: (bit_message.WriteMultipleCoilsRequest, bit_message.WriteMultipleCoilsResponse),
    16: (
        register_message.WriteMultipleRegistersRequest,
        register_message.WriteMultipleRegistersResponse,
    ),
}
_RTU = FramerRTU(DecodePDU(is_server=False))
_TCP = FramerSocket(DecodePDU(is_server=False))

EXCEPTION_FLAG = 0x80
ILLEGAL_FUNCTION = 1
ILLEGAL_ADDRESS = 2
ILLEGAL_VALUE = 3
GATEWAY_SILENT = 11
_EXCEPTIONS = {
    1: "illegal function",
    2: "illegal data address",
    3: "illegal data value",
    4: "server device failure",
    5: "acknowledge",
    6: "server device busy",
    8: "memory parity error",
    10: "gateway path unavailable",
    11: "gateway target device failed to respond",
}
"""Modbus Application Protocol V1.1b3, 7."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """The device understood the request and refused it: a Modbus exception."""

    code: int

    @property
    def text(self) -> str:
        """Return for example ``illegal data address (2)``."""
        return f"{_EXCEPTIONS.get(self.code, 'unknown exception')} ({self.code})"


Answer = list[int] | Refusal
"""Registers or bits in order; an accepted write answers with none."""


class Question(Protocol[T_co]):
    """One request, and how its answer is told from everything else on a line."""

    @property
    def function(self) -> int:
        """Return the function code."""

    @property
    def pdu(self) -> bytes:
        """Return function code and data."""

    @property
    def answer_size(self) -> int:
        """Return how many bytes function code and data of an answer have, at most."""

    @property
    def repeatable(self) -> bool:
        """Tell whether asking again has no second effect."""

    def size_of(self, begun: bytes) -> int | None:
        """Return how many bytes the answer has that begins so, or at least has where it says later.

        None: no answer to this begins so. `begun` has the function code at least; an exception is
        not among what is asked here.
        """

    def decode(self, pdu: bytes) -> T_co:
        """Return what an answer's function code and data say.

        Raises:
            RefusedError: it answers something else.
        """


@dataclass(frozen=True, slots=True)
class Query:
    """One request's protocol data unit, and what a fitting answer looks like."""

    function: int
    address: int
    count: int
    words: tuple[int, ...] = ()
    """What is written; empty for a read."""

    @property
    def pdu(self) -> bytes:
        """Return function code and data."""
        request, _ = _CLASSES[self.function]
        bits = self.function in {1, 2, WRITE_COIL, WRITE_COILS}
        if not self.words:
            message = request(address=self.address, count=self.count)
        elif bits:
            message = request(address=self.address, bits=[bool(word) for word in self.words])
        else:
            message = request(address=self.address, registers=self.words)
        return bytes([self.function]) + message.encode()

    @property
    def answer_size(self) -> int:
        """Return how many bytes function code and data of an answer have if it is no exception."""
        return 5 if self.words else 2 + self.data_size

    @property
    def data_size(self) -> int:
        """Return the byte count that stands in a read's answer."""
        return (self.count + 7) // 8 if self.function in {1, 2} else 2 * self.count

    @property
    def repeatable(self) -> bool:
        """Tell whether asking again has no second effect: reads."""
        return not self.words

    def size_of(self, begun: bytes) -> int | None:
        """Return how many bytes the answer has that begins so; see `Question`."""
        if len(begun) > 1 and not self.words and begun[1] != self.data_size:
            return None
        return self.answer_size

    def decode(self, pdu: bytes) -> Answer:
        """Return what an answer's function code and data say.

        Raises:
            RefusedError: it answers something else, or with another number of registers.
        """
        if pdu[:1] == bytes([self.function | EXCEPTION_FLAG]) and len(pdu) == 2:
            return Refusal(pdu[1])
        if pdu[:1] != bytes([self.function]):
            raise _refused(f"function {pdu[0] if pdu else None} answers {self.function}")
        if len(pdu) != self.answer_size or (not self.words and pdu[1] != self.data_size):
            raise _refused(f"{len(pdu)} bytes answer a request for {self.count}")
        if self.words:
            if pdu[1:5] != self._echo:
                raise _refused("the answer confirms another write")
            return []
        _, response = _CLASSES[self.function]
        message = response()
        message.decode(pdu[1:])
        if self.function in {1, 2}:
            return [int(bit) for bit in message.bits[: self.count]]
        return list(message.registers)

    @property
    def _echo(self) -> bytes:
        """Return the four bytes that confirm this write (V1.1b3, 6.5, 6.6, 6.11, 6.12)."""
        if self.function == WRITE_COIL:
            return struct.pack(">HH", self.address, 0xFF00 if self.words[0] else 0)
        second = self.words[0] if self.function == WRITE_REGISTER else self.count
        return struct.pack(">HH", self.address, second)


def read(table: Table, address: int, count: int) -> Query:
    """Return the query for `count` neighbours of one table."""
    bound = limits.MODBUS_BITS if table in BIT_TABLES else limits.MODBUS_REGISTERS
    assert 1 <= count <= bound, f"{count} do not fit into one request"
    return Query(READ_FUNCTIONS[table], address, count)


def write(table: Table, address: int, words: Sequence[int], *, multiple: bool = False) -> Query:
    """Return the query that sets neighbours; a single one has a shorter form unless `multiple`."""
    assert words, "a write writes something"
    single = len(words) == 1 and not multiple
    if table == "coil":
        function = WRITE_COIL if single else WRITE_COILS
    else:
        assert table == "holding", f"the {table} table cannot be written"
        function = WRITE_REGISTER if single else WRITE_REGISTERS
    return Query(function, address, len(words), tuple(words))


class AnswerDecoder(FrameDecoder[T_co], Protocol[T_co]):
    """A decoder together with the frame whose answer it understands."""

    @property
    def request(self) -> bytes:
        """Return the request's frame."""


def decoder(
    framing: Framing, query: Question[T], *, unit: int, transaction: int
) -> AnswerDecoder[T]:
    """Return the frame that puts `query` to `unit`, with the decoder of its answer."""
    if framing is Framing.RTU:
        return RtuDecoder(query, unit)
    return TcpDecoder(query, unit, transaction)


class RtuDecoder(Generic[T]):
    """Finds the one fitting frame on a serial line, wherever it begins.

    A line carries noise, echoes, and late answers of others, and RTU has no start mark: a frame is
    what begins with the right unit and function, has the right length and a checksum that fits.
    """

    def __init__(self, query: Question[T], unit: int) -> None:
        self.query, self.unit = query, unit
        self.request = _RTU.encode(query.pdu, unit, 0)
        self.answer_bytes = 1 + query.answer_size + 2
        self.peer: int | None = unit
        self.repeatable = query.repeatable
        self._buffer = b""

    def reset(self) -> None:
        """Forget what was fed."""
        self._buffer = b""

    def feed(self, data: bytes) -> T | None:
        """Return the answer once it is complete; see `FrameDecoder`."""
        self._buffer += data
        buffer = self._buffer
        # The echo of a write of several registers begins as its answer does.
        broken, more_may_come = False, self.request.startswith(buffer)
        for start in _places(buffer, self.unit):
            size = self._size(buffer[start : start + limits.FRAME_BYTES])
            if size is None:
                continue
            if start + size > len(buffer):
                more_may_come = True
                continue
            frame, check = buffer[start : start + size - 2], buffer[start + size - 2 : start + size]
            if int.from_bytes(check) == FramerRTU.compute_CRC(frame):
                return self.query.decode(frame[1:])
            broken = broken or start == 0
        if broken and not more_may_come:
            raise _refused("checksum")
        if len(buffer) > 2 * limits.FRAME_BYTES:
            raise _refused(f"{len(buffer)} bytes and no answer among them")
        return None

    def _size(self, begun: bytes) -> int | None:
        """Return the length of the frame that may begin so, as far as it says by now."""
        if len(begun) == 1:
            return self.answer_bytes
        if begun[1] == self.query.function | EXCEPTION_FLAG:
            return 5
        size = self.query.size_of(begun[1:]) if begun[1] == self.query.function else None
        return None if size is None else 1 + size + 2


def _places(buffer: bytes, unit: int) -> Iterator[int]:
    """Yield where a unit's frame may begin: noise costs no step of its own."""
    at = buffer.find(unit)
    while at >= 0:
        yield at
        at = buffer.find(unit, at + 1)


class TcpDecoder(Generic[T]):
    """Takes frames off a stream until the one with the right transaction and unit comes."""

    def __init__(self, query: Question[T], unit: int, transaction: int) -> None:
        self.query, self.unit, self.transaction = query, unit, transaction
        self.request = _TCP.encode(query.pdu, unit, transaction)
        self.answer_bytes = 7 + query.answer_size
        self.peer: int | None = None
        self.repeatable = query.repeatable
        self._buffer = b""

    def reset(self) -> None:
        """Forget what was fed."""
        self._buffer = b""

    def feed(self, data: bytes) -> T | None:
        """Return the answer once it is complete; see `FrameDecoder`."""
        self._buffer += data
        while len(self._buffer) >= 7:
            transaction, protocol, length, unit = struct.unpack_from(">HHHB", self._buffer)
            if protocol or not 3 <= length <= limits.FRAME_BYTES - 6:
                raise _refused(f"no Modbus TCP header: {self._buffer[:7].hex()}")
            if len(self._buffer) < 6 + length:
                return None
            pdu, self._buffer = self._buffer[7 : 6 + length], self._buffer[6 + length :]
            if (transaction, unit) == (self.transaction, self.unit):
                return self.query.decode(pdu)
        return None


def _refused(detail: str) -> RefusedError:
    return RefusedError(Reason.DEVICE_BAD_FRAME, detail)
