"""Control packets as a broker reads and writes them (MQTT 3.1.1, chapters 2 and 3).

Owns bytes. Leaves out sessions (`ports`) and what is published (`plug`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

_MOST = 65_536


class Kind(IntEnum):
    """Table 2.1."""

    CONNECT = 1
    CONNACK = 2
    PUBLISH = 3
    PUBACK = 4
    SUBSCRIBE = 8
    SUBACK = 9
    UNSUBSCRIBE = 10
    UNSUBACK = 11
    PINGREQ = 12
    PINGRESP = 13
    DISCONNECT = 14


class MalformedError(Exception):
    """No control packet, or one that no client sends."""


@dataclass(frozen=True, slots=True)
class Packet:
    """One packet, cut but not read."""

    kind: Kind
    flags: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Greeting:
    """What a CONNECT says."""

    client: str
    user: str
    password: str


@dataclass(frozen=True, slots=True)
class Publication:
    """What a PUBLISH says."""

    topic: str
    payload: bytes
    number: int | None
    """Of quality 1; None: quality 0."""
    retain: bool = False


class Reader:
    """Takes values off a packet's body."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    @property
    def rest(self) -> bytes:
        """Return what was not taken."""
        return self._body

    def take(self, size: int) -> bytes:
        """Return so many bytes."""
        if len(self._body) < size:
            raise MalformedError
        taken, self._body = self._body[:size], self._body[size:]
        return taken

    def number(self) -> int:
        """Return two bytes as a number."""
        return int.from_bytes(self.take(2), "big")

    def text(self) -> str:
        """Return a text with its length before it (1.5.3)."""
        try:
            return self.take(self.number()).decode()
        except UnicodeDecodeError:
            raise MalformedError from None


class Cutter:
    """Bytes in, packets out."""

    def __init__(self) -> None:
        self._held = b""

    def feed(self, data: bytes) -> Iterator[Packet]:
        """Yield the packets that are whole.

        Raises:
            MalformedError: a kind or a length that no client sends.
        """
        self._held += data
        while (cut := self._cut()) is not None:
            yield cut

    def _cut(self) -> Packet | None:
        size, end = 0, 1
        while True:
            if len(self._held) <= end:
                return None
            size += (self._held[end] & 127) * 128 ** (end - 1)
            end += 1
            if self._held[end - 1] < 128:
                break
            if end > 4:
                raise MalformedError
        if size > _MOST:
            raise MalformedError
        if len(self._held) < end + size:
            return None
        head, body = self._held[0], self._held[end : end + size]
        self._held = self._held[end + size :]
        try:
            return Packet(Kind(head >> 4), head & 15, body)
        except ValueError:
            raise MalformedError from None


def encode(kind: Kind, body: bytes = b"", flags: int = 0) -> bytes:
    """Return a packet's bytes (2.2.3)."""
    size, length = len(body), b""
    while True:
        size, low = divmod(size, 128)
        length += bytes([low + 128 if size else low])
        if not size:
            return bytes([kind << 4 | flags]) + length + body


def greeting(packet: Packet) -> Greeting:
    """Return what a CONNECT says (3.1)."""
    reader = Reader(packet.body)
    if reader.text() != "MQTT" or reader.take(1) != b"\x04":
        raise MalformedError
    flags = reader.take(1)[0]
    reader.number()
    client = reader.text()
    if flags & 4:  # a will: topic and message
        reader.text()
        reader.take(reader.number())
    user = reader.text() if flags & 128 else ""
    password = reader.text() if flags & 64 else ""
    return Greeting(client, user, password)


def publication(packet: Packet) -> Publication:
    """Return what a PUBLISH of quality 0 or 1 says (3.3)."""
    quality = packet.flags >> 1 & 3
    if quality > 1:
        raise MalformedError
    reader = Reader(packet.body)
    topic = reader.text()
    number = reader.number() if quality else None
    if not topic or set(topic) & {"+", "#"}:
        raise MalformedError
    return Publication(topic, reader.rest, number, bool(packet.flags & 1))


def wanted(packet: Packet) -> tuple[int, list[str]]:
    """Return number and filters of a SUBSCRIBE (3.8) or an UNSUBSCRIBE (3.10)."""
    reader = Reader(packet.body)
    number, filters = reader.number(), []
    while reader.rest:
        filters.append(reader.text())
        if packet.kind is Kind.SUBSCRIBE:
            reader.take(1)
    if packet.flags != 2 or not filters:
        raise MalformedError
    return number, filters


def published(topic: str, payload: bytes, *, retained: bool) -> bytes:
    """Return a PUBLISH of quality 0 to a subscriber."""
    name = topic.encode()
    body = len(name).to_bytes(2, "big") + name + payload
    return encode(Kind.PUBLISH, body, int(retained))


def matches(asked: str, topic: str) -> bool:
    """Tell whether a filter names a topic (4.7)."""
    parts, levels = asked.split("/"), topic.split("/")
    for index, part in enumerate(parts):
        if part == "#":
            return True
        if index >= len(levels) or part not in {"+", levels[index]}:
            return False
    return len(parts) == len(levels)
