"""A connection to an MQTT broker: what it was told last of each topic, and commands to it.

Owns the URL, greeting and asking for topics anew on each connection, and the last messages. They
come when they come, between exchanges too. Leaves out packets (`agent.core.mqtt`) and what messages
mean (`agent.drivers.mqtt`).
"""

import asyncio
import secrets
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from agent.buses.connection import Connection, SilentError
from agent.buses.line import Line
from agent.buses.secret import read_line
from agent.buses.tcp import open_tcp
from agent.buses.url import PortUrl, parse_url
from agent.core import mqtt
from agent.core.ports import BusSettings, FrameDecoder, Urgency
from shared import limits
from shared.errors import MistakeError, Reason, RefusedError, WorldError

T = TypeVar("T")

MQTT_PORT: Final = 1883
MQTTS_PORT: Final = 8883
_OPTIONS: Final = ("secret", "client")
_BATCH: Final = 32
"""Topics of one request: 32 of 200 characters fit any broker's buffer."""


@dataclass(frozen=True, slots=True)
class Heard:
    """A message, and when it came on the loop's clock."""

    payload: bytes
    retained: bool
    at_s: float


class Post:
    """The last message of each topic that is followed, since the connection was made."""

    def __init__(self) -> None:
        self.wanted: dict[str, None] = {}
        self.messages: dict[str, Heard] = {}
        self.refused: set[str] = set()
        """Topics that the broker will not tell of."""
        self.in_vain: set[str] = set()
        """Topics that were waited for already and stayed silent."""
        self._stirred = asyncio.Event()

    def take(self, message: mqtt.Message) -> None:
        """Keep a message of a topic that somebody follows."""
        if message.topic in self.wanted:
            now_s = asyncio.get_running_loop().time()
            self.messages[message.topic] = Heard(message.payload, message.retained, now_s)
            self._stirred.set()

    def forget(self, topics: Iterable[str]) -> None:
        """Believe only what comes from now on: something is about to change them."""
        for topic in topics:
            self.messages.pop(topic, None)
            self.in_vain.discard(topic)

    def begin(self) -> None:
        """Forget everything: nobody knows what was said while there was no connection."""
        self.messages.clear()
        self.refused.clear()
        self.in_vain.clear()

    async def wait(self, topics: Iterable[str], wait_s: float) -> None:
        """Wait for the first messages of topics, each topic once."""
        missing = set(topics) - self.messages.keys() - self.refused - self.in_vain
        if not missing:
            return
        try:
            async with asyncio.timeout(wait_s):
                while missing := missing - self.messages.keys():
                    self._stirred.clear()
                    await self._stirred.wait()
        except TimeoutError:
            self.in_vain |= missing


def mqtt_url(settings: BusSettings) -> PortUrl:
    """Return the parts of a bus' URL.

    Raises:
        MistakeError: no host, or an option that the scheme does not have.
    """
    tls = settings.url.startswith("mqtts:")
    url = parse_url(settings, (*_OPTIONS, "ca") if tls else _OPTIONS)
    if not url.host:
        raise url.mistake(f"{settings.url!r} names no host", f"write {url.scheme}://HOST/DEVICE")
    for key, text in url.options.items():
        if not text or (key == "client" and not (text.isascii() and text.isprintable())):
            raise url.mistake(f"{key} in the URL says nothing")
    if set(url.path) & {"#", "+", "{", "}"} or len(url.path) > limits.MQTT_TOPIC_CHARS:
        raise url.mistake(f"{url.path[:60]!r} is no part of a topic")
    return url


class MqttBus(Line):
    """``mqtt://host:1883/DEVICE?secret=FILE``, or ``mqtts://host:8883/DEVICE?ca=FILE``."""

    def __init__(self, settings: BusSettings) -> None:
        """Read the URL and the files that it names; the first exchange connects.

        Raises:
            MistakeError: no host, an option that the scheme does not have, or a file that is none.
        """
        url = mqtt_url(settings)
        tls = url.scheme == "mqtts"
        self._host, self._port = url.host, url.port or (MQTTS_PORT if tls else MQTT_PORT)
        self._client = url.options.get("client", f"outstation-{secrets.token_hex(6)}")
        self._user, self._password = _who(url)
        self._tls = _context(url) if tls else None
        self.device = url.path.strip("/")
        """What ``{device}`` stands for in topics."""
        self.post = Post()
        self._told: set[str] = set()
        self._number = 0
        super().__init__(
            settings,
            seconds_per_byte=0.0,
            silence_s=0.0,
            drops_after_noise=True,
            drops_when_silent=True,
        )

    def follow(self, topics: Iterable[str], *, who: str) -> None:
        """Ask for the messages of topics, from the next exchange on.

        Raises:
            MistakeError: they are more than one connection follows.
        """
        self.post.wanted |= dict.fromkeys(topics)
        if len(self.post.wanted) > limits.MQTT_TOPICS:
            raise MistakeError(
                f"more than {limits.MQTT_TOPICS} topics on one connection",
                where=who,
                mend="give some of the devices a bus of their own",
            )

    def number(self) -> int:
        """Return a number for a packet that is acknowledged."""
        self._number = self._number % 0xFFFF + 1
        return self._number

    async def _open(self, connection: Connection) -> None:
        stream = _Stream(connection, self.post)
        await open_tcp(stream, self._host, self._port, tls=self._tls)
        self.post.begin()
        self._told.clear()
        greeting = mqtt.connect(self._client, self._user, self._password)
        try:
            refusal = await self._settle(connection, greeting, mqtt.Connack())
        except BaseException:
            await connection.close()
            raise
        if refusal:
            await connection.close()
            raise WorldError(Reason.BUS_DOWN, f"{self._name} {refusal.decode()}")

    async def _ask(
        self,
        connection: Connection,
        request: bytes,
        decoder: FrameDecoder[T],
        urgency: Urgency,
        wait_s: float,
    ) -> T:
        """Exchange, after asking for the topics that this connection does not tell of yet."""
        new = [topic for topic in self.post.wanted if topic not in self._told]
        for start in range(0, len(new), _BATCH):
            topics, number = new[start : start + _BATCH], self.number()
            wanted = mqtt.subscribe(number, topics)
            codes = await self._settle(connection, wanted, mqtt.Suback(number))
            self._told |= set(topics)
            self.post.refused |= mqtt.Suback.refused(topics, codes)
        return await super()._ask(connection, request, decoder, urgency, wait_s)

    async def _settle(self, connection: Connection, request: bytes, decoder: FrameDecoder[T]) -> T:
        """Exchange what belongs to the connection and is no device's."""
        try:
            return await connection.ask(
                request,
                decoder,
                seconds_per_byte=0.0,
                timeout_s=limits.BUS_CONNECT_MS / 1000,
            )
        except SilentError:
            connection.abort()
            detail = f"{self._name} takes connections and speaks no MQTT"
            raise WorldError(Reason.BUS_DOWN, detail) from None
        except (RefusedError, ConnectionError) as error:
            connection.abort()
            raise WorldError(Reason.BUS_DOWN, f"{self._name}: {error}") from None


class _Stream(asyncio.Protocol):
    """Bytes in; messages into the post, other packets to whoever waits for one."""

    def __init__(self, connection: Connection, post: Post) -> None:
        self._connection, self._post = connection, post
        self._packets = mqtt.Packets()
        self._transport: asyncio.BaseTransport | None = None
        self._fault: ConnectionError | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._connection.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        try:
            for packet in self._packets.feed(data):
                if packet[0] >> 4 == mqtt.PUBLISH:
                    self._post.take(mqtt.message_of(packet))
                else:
                    self._connection.data_received(packet)
        except RefusedError as error:
            self._fault = ConnectionError(error.detail)
            if isinstance(self._transport, asyncio.WriteTransport):
                self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._connection.connection_lost(self._fault or exc)


def _who(url: PortUrl) -> tuple[str, str]:
    """Return name and password: from the file that the URL names, or nobody's."""
    if "secret" not in url.options:
        return "", ""
    path = Path(url.options["secret"])
    name, colon, password = read_line(path, url).partition(":")
    if not name or not colon or not password:
        raise url.mistake(f"{path} holds no NAME:PASSWORD")
    return name, password


def _context(url: PortUrl) -> ssl.SSLContext:
    """Return how the broker proves who it is: by the system's authorities, or by one file's."""
    file = url.options.get("ca")
    try:
        return ssl.create_default_context(cafile=file)
    except OSError as error:
        why = error.strerror or "no certificate in it"
        raise url.mistake(f"ca = {file} cannot be used ({why})") from None
