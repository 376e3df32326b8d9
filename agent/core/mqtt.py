"""MQTT 3.1.1 as a client speaks it: requests to bytes, a stream to packets, packets to answers.

Owns packets and their bounds (OASIS, 29 October 2014). Pure. Leaves out the connection
(`agent.buses.mqtt`) and what messages say (`agent.drivers.mqtt`). Messages are asked for at quality
0, so none has to be acknowledged; commands leave at quality 1, so that their arrival is.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from shared import limits
from shared.errors import Reason, RefusedError

CONNACK, PUBLISH, PUBACK, SUBACK, PONG = 2, 3, 4, 9, 13
PING: Final = b"\xc0\x00"
_LEVEL: Final = 4
_CLEAN, _NAME, _PASSWORD = 0x02, 0x80, 0x40
_RETAIN, _QUALITY = 0x01, 0x06
_LENGTH_BYTES: Final = 4
_FAILURE: Final = 0x80
_REFUSALS: Final = {
    1: "does not speak MQTT 3.1.1",
    2: "refuses the client's name",
    3: "is not available",
    4: "does not accept name and password",
    5: "does not let this client in: name a secret in the port's URL",
}
"""Table 3.1."""


@dataclass(frozen=True, slots=True)
class Message:
    """What somebody published."""

    topic: str
    payload: bytes
    retained: bool
    """The broker kept it, nobody knows for how long."""


def _bad(detail: str) -> RefusedError:
    return RefusedError(Reason.DEVICE_BAD_FRAME, detail)


def _packet(head: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    size, length = len(body), bytearray()
    while size > 0x7F:
        length.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes((head, *length, size)) + body


def _text(data: bytes) -> bytes:
    return len(data).to_bytes(2, "big") + data


def connect(client: str, name: str = "", password: str = "") -> bytes:
    """Return the first packet: a clean session without a time-out, for each poll asks anyway."""
    flags = _CLEAN | (_NAME if name else 0) | (_PASSWORD if password else 0)
    told = [_text(part.encode()) for part in (name, password) if part]
    head = (_text(b"MQTT"), bytes((_LEVEL, flags, 0, 0)), _text(client.encode()))
    return _packet(0x10, *head, *told)


def subscribe(number: int, topics: Sequence[str]) -> bytes:
    """Return the request for all messages of these topics, at quality 0."""
    wanted = (_text(topic.encode()) + b"\0" for topic in topics)
    return _packet(0x82, number.to_bytes(2, "big"), *wanted)


def publish(number: int, topic: str, payload: bytes) -> bytes:
    """Return a message that is acknowledged (quality 1) and that the broker does not keep."""
    return _packet(0x32, _text(topic.encode()), number.to_bytes(2, "big"), payload)


def message_of(packet: bytes) -> Message:
    """Return what a PUBLISH carries.

    Raises:
        RefusedError: it is cut, has no topic, or wants an acknowledgement, which nobody asked for.
    """
    head, body = packet[0], _body(packet)
    size = int.from_bytes(body[:2], "big")
    if len(body) < 2 + size or not size:
        raise _bad("a message without a topic")
    if head & _QUALITY:
        raise _bad("a message of a quality that was not asked for")
    try:
        topic = body[2 : 2 + size].decode()
    except UnicodeDecodeError:
        raise _bad("a topic that is no text") from None
    return Message(topic, body[2 + size :], bool(head & _RETAIN))


def _body(packet: bytes) -> bytes:
    start = 1
    while packet[start] & 0x80:
        start += 1
    return packet[start + 1 :]


class Packets:
    """Cuts what comes off a connection into whole packets of bounded size."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._skip = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the packets that are whole; one that is too large is passed over unread.

        Raises:
            RefusedError: a length that no packet has; nothing behind it can be found any more.
        """
        skipped = min(self._skip, len(data))
        self._skip -= skipped
        self._buffer += data[skipped:]
        while (size := self._size()) is not None:
            if size > limits.MQTT_PACKET_BYTES:
                self._skip = size - min(size, len(self._buffer))
                del self._buffer[:size]
            elif len(self._buffer) < size:
                return
            else:
                packet = bytes(self._buffer[:size])
                del self._buffer[:size]
                yield packet

    def _size(self) -> int | None:
        """Return the length of the packet that begins here, None while nobody can tell."""
        size = 0
        for index in range(_LENGTH_BYTES):
            if len(self._buffer) < 2 + index:
                return None
            byte = self._buffer[1 + index]
            size |= (byte & 0x7F) << 7 * index
            if not byte & 0x80:
                return 2 + index + size
        raise _bad("a length that no packet has")


class _Awaited:
    """A `FrameDecoder` that is fed whole packets and waits for one kind of them."""

    answer_bytes = 0
    unit = 0
    peer = None
    repeatable = False
    kind = 0

    def reset(self) -> None:
        """Forget what was fed: nothing is kept."""

    def feed(self, data: bytes) -> bytes | None:
        """Return what the awaited packet holds; others are passed over."""
        if data[0] >> 4 != self.kind:
            return None
        return self._taken(_body(data))

    def _taken(self, body: bytes) -> bytes | None:
        return body


class Connack(_Awaited):
    """Waits for the broker's yes; the answer is empty, or why it says no."""

    kind = CONNACK

    def _taken(self, body: bytes) -> bytes:
        if len(body) != 2:
            raise _bad("a greeting of a wrong size")
        no = _REFUSALS.get(body[1], f"refuses the connection ({body[1]})")
        return no.encode() if body[1] else b""


class Pong(_Awaited):
    """Waits for the answer to `PING`: what was sent before it was taken in by then."""

    kind = PONG
    repeatable = True


class _Numbered(_Awaited):
    def __init__(self, number: int) -> None:
        self._number = number.to_bytes(2, "big")

    def _taken(self, body: bytes) -> bytes | None:
        return body[2:] if body[:2] == self._number else None


class Puback(_Numbered):
    """Waits until the broker took a message."""

    kind = PUBACK


class Suback(_Numbered):
    """Waits until the broker says which topics it will tell of: a byte for each."""

    kind = SUBACK

    @staticmethod
    def refused(topics: Sequence[str], codes: bytes) -> set[str]:
        """Return the topics that it will not tell of."""
        told = codes.ljust(len(topics), bytes((_FAILURE,)))
        return {topic for topic, code in zip(topics, told, strict=False) if code & _FAILURE}
