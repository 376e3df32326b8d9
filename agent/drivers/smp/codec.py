"""One SMP question and its answer, on whatever carries it.

Owns framing by the kind of port and the match of an answer to its question. Leaves out several
questions at once (`burst`) and what they mean (`client`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from agent.drivers.smp import console, packet
from agent.drivers.smp.packet import Reply, Request, Response
from shared import limits


class Framing(Enum):
    """How packets are carried."""

    CONSOLE = "console"
    """As lines among a serial console's."""
    DATAGRAM = "datagram"
    """One by one."""

    def wrap(self, data: bytes) -> bytes:
        """Return what goes onto the port for a packet."""
        return console.frame(data) if self is Framing.CONSOLE else data

    def wrapped_bytes(self, size: int) -> int:
        """Return how many bytes that is."""
        return console.framed_bytes(size) if self is Framing.CONSOLE else size

    def packet_bytes(self, buffer_bytes: int) -> int:
        """Return the longest packet that a device with such a buffer takes, and we make."""
        if self is Framing.CONSOLE:
            # A packet's length has 16 bits, whatever buffer is told.
            return min(buffer_bytes - console.EXTRA_BYTES, limits.SMP_PACKET_BYTES)
        return min(buffer_bytes, limits.SMP_DATAGRAM_BYTES)


class Ear:
    """Hears the packets in what comes off a port."""

    def __init__(self, framing: Framing) -> None:
        self._lines = console.Unframer() if framing is Framing.CONSOLE else None

    def hear(self, data: bytes) -> Iterator[Response]:
        """Yield the answers that are whole; what is none passes silently, as on any console."""
        whole = self._lines.feed(data) if self._lines is not None else iter((data,))
        for one in whole:
            response = packet.decode(one)
            if response is not None:
                yield response


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """How one device is spoken to."""

    framing: Framing
    version: int
    unit: int


class Question:
    """A `FrameDecoder` for one request; a `Talk` for the sake of its patience."""

    def __init__(
        self,
        request: Request,
        dialect: Dialect,
        *,
        sequence: int,
        repeatable: bool,
        answer_bytes: int,
        least_wait_ms: int = 0,
    ) -> None:
        self.unit, self.peer = dialect.unit, None
        self.repeatable, self.least_wait_ms = repeatable, least_wait_ms
        self.answer_bytes = dialect.framing.wrapped_bytes(answer_bytes)
        self.answered = 0
        self._request, self._sequence, self._framing = request, sequence, dialect.framing
        data = packet.encode(request, sequence=sequence, version=dialect.version)
        self.frame = dialect.framing.wrap(data)
        """What is sent."""
        self._ear = Ear(dialect.framing)

    def following(self) -> Sequence[bytes]:
        """Return nothing: one question."""
        return ()

    def feed(self, data: bytes) -> Reply | None:
        """Return the answer once it came; late answers to others are none."""
        for response in self._ear.hear(data):
            if response.answers(self._request, self._sequence):
                return response.reply
        return None

    def reset(self) -> None:
        """Forget what was fed."""
        self._ear = Ear(self._framing)
