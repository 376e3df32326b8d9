"""Pieces of an image on their way, as many at once as the device has room for.

Owns the window of one exchange. A device takes pieces in order and tells with each answer which
one it wants next, so a lost piece shows at once: nothing more is sent then, and the burst ends
where the device is. Leaves out beginning and resuming (`upload`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from agent.drivers.smp import packet
from agent.drivers.smp.codec import Dialect, Ear
from agent.drivers.smp.packet import IMAGE_GROUP, WRITE, Refusal, Request
from shared import limits

UPLOAD = 1
"""Command of the image group."""
_ANSWER_BYTES = 64
_DATA_HEAD = 3
"""CBOR's head of a byte string of up to 64 kB; an empty one has 1."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How far a burst came."""

    offset: int
    """What the device wants next."""
    whole: bool
    """Every piece was taken in its turn."""
    match: bool | None = None
    """Whether the device found the image's hash as announced; only its last answer tells."""
    refusal: Refusal | None = None


def piece_bytes(packet_bytes: int, first: bool, values: dict[str, object]) -> int:  # noqa: FBT001
    """Return how much of an image fits into a packet beside everything else.

    Args:
        packet_bytes: what the device takes.
        first: the piece that announces the image.
        values: what stands beside the data.
    """
    empty = Request(
        WRITE, IMAGE_GROUP, UPLOAD, {"off": 0 if first else 1 << 31, "data": b""} | values
    )
    room = packet_bytes - len(packet.encode(empty, sequence=0, version=0)) - _DATA_HEAD
    # Flash is programmed in words: a device keeps what does not fill one until the next piece.
    return max(room // 16 * 16, 16)


class Burst:
    """A `FrameDecoder` and `Talk`: some pieces, `window` of them on their way at once."""

    peer = None
    repeatable = False
    """A burst is not repeated but resumed: the device says where."""
    least_wait_ms = limits.SMP_PIECE_MS

    def __init__(
        self,
        content: bytes,
        dialect: Dialect,
        *,
        offset: int,
        piece: int,
        window: int,
        sequence: Callable[[], int],
    ) -> None:
        self.unit, self._dialect, self._sequence = dialect.unit, dialect, sequence
        self._content, self._piece, self._window = content, piece, window
        self._sent, self._wanted = offset, offset
        self._flying: dict[int, tuple[Request, int]] = {}
        """By sequence: the request, and what its answer must want next."""
        self._left = limits.SMP_BURST
        self._lost = False
        self._match: bool | None = None
        self._ear = Ear(dialect.framing)
        self.answered = 0
        self.answer_bytes = dialect.framing.wrapped_bytes(_ANSWER_BYTES)
        self.frame = self._next()
        """What is sent first."""

    def following(self) -> Sequence[bytes]:
        """Return as many pieces as the window has room for."""
        frames: list[bytes] = []
        while self._may_send and len(self._flying) < self._window:
            frames.append(self._next())
        return frames

    def feed(self, data: bytes) -> Ended | None:
        """Return how far it came once nothing is on its way any more."""
        for response in self._ear.hear(data):
            found = self._flying.get(response.sequence)
            if found is None or not response.answers(found[0], response.sequence):
                continue
            del self._flying[response.sequence]
            self.answered += 1
            if isinstance(response.reply, Refusal):
                return Ended(self._wanted, whole=False, refusal=response.reply)
            offset, match = response.reply.get("off"), response.reply.get("match")
            if isinstance(offset, bool) or not isinstance(offset, int) or offset < 0:
                return Ended(self._wanted, whole=False, refusal=Refusal(1))
            self._lost = self._lost or offset != found[1]
            self._wanted = offset
            self._match = match if isinstance(match, bool) else self._match
        if self._flying or self._may_send:
            return None
        return Ended(self._wanted, whole=not self._lost, match=self._match)

    def reset(self) -> None:
        """Never called: it is not repeatable."""

    @property
    def _may_send(self) -> bool:
        return not self._lost and self._left > 0 and self._sent < len(self._content)

    def _next(self) -> bytes:
        data = self._content[self._sent : self._sent + self._piece]
        request = Request(WRITE, IMAGE_GROUP, UPLOAD, {"off": self._sent, "data": data})
        self._sent += len(data)
        self._left -= 1
        sequence = self._sequence()
        self._flying[sequence] = (request, self._sent)
        whole = packet.encode(request, sequence=sequence, version=self._dialect.version)
        return self._dialect.framing.wrap(whole)
