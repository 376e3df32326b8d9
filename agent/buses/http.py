"""A device that speaks HTTP: one TCP connection, kept alive, one request at a time.

Owns the URL, the secret it names, and giving a connection up where HTTP leaves no way to go on with
it. Frames are the driver's business, as on any bus (`agent.drivers.http_json`); so retries, turns,
patience and counters are the same as everywhere.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol, TypeVar, runtime_checkable

from agent.buses.connection import Connection
from agent.buses.line import Line
from agent.buses.secret import read_line
from agent.buses.tcp import open_tcp
from agent.buses.url import PortUrl, parse_url
from agent.core.ports import BusSettings, FrameDecoder, Urgency
from shared import limits

T = TypeVar("T")

HTTP_PORT: Final = 80
_OPTIONS: Final = ("auth", "secret")
_SCHEMES: Final = ("none", "basic", "digest", "bearer")
_UNSAFE: Final = frozenset(' "<>\\^`|#?')
"""What no path has; a query belongs to a request, and options of the port stand behind the ?."""


@runtime_checkable
class Farewell(Protocol):
    """What a decoder of HTTP knows beside its answer."""

    @property
    def is_last(self) -> bool:
        """Tell whether the connection carries no other exchange after this one."""


@dataclass(frozen=True, slots=True)
class HttpPlace:
    """What a URL says of an HTTP device."""

    host: str
    port: int
    base: str
    """What stands before every request's path; empty or with a slash at its beginning."""
    auth: str
    secret: str = ""
    """Path of a file: ``NAME:PASSWORD``, or a token."""

    @property
    def authority(self) -> str:
        """Return what a Host field says (RFC 9110, 7.2)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == HTTP_PORT else f"{host}:{self.port}"


def http_place(settings: BusSettings) -> HttpPlace:
    """Return what a bus' URL says.

    Raises:
        MistakeError: no host, a path that is none, or half of what authentication takes.
    """
    url = parse_url(settings, _OPTIONS)
    if not url.host:
        raise url.mistake(f"{settings.url!r} names no host", "write http://HOST:PORT")
    base = url.path.rstrip("/")
    if not base.isascii() or not base.isprintable() or set(base) & _UNSAFE:
        raise url.mistake(f"{base!r} is no path of a URL")
    if len(base) > limits.HTTP_PATH_CHARS:
        raise url.mistake(f"the path is longer than {limits.HTTP_PATH_CHARS} characters")
    auth = url.choice("auth", _SCHEMES, "none")
    secret = url.options.get("secret", "")
    if (auth == "none") == bool(secret):
        raise url.mistake(
            "auth and secret go together", "write ?auth=digest&secret=/etc/outstation/relay.secret"
        )
    return HttpPlace(url.host, url.port or HTTP_PORT, base, auth, secret)


def read_secret(place: HttpPlace, *, bus: str) -> str:
    """Return what the secret's file holds, without the end of its line.

    Raises:
        MistakeError: it cannot be read, others can read it too, or it is no secret of that kind.
    """
    if not place.secret:
        return ""
    url = PortUrl(bus, "http", place.host, place.port, place.base, {})
    path = Path(place.secret)
    text = read_line(path, url)
    named = place.auth in {"basic", "digest"}
    if named and ":" not in text:
        raise url.mistake(f"{path} holds no NAME:PASSWORD, which auth={place.auth} takes")
    if not named and (not text.isascii() or " " in text):
        raise url.mistake(f"{path} holds no token, which auth=bearer takes")
    return text


class HttpBus(Line):
    """``http://host:80/base?auth=digest&secret=/etc/outstation/relay.secret``."""

    def __init__(self, settings: BusSettings) -> None:
        """Read the URL; the first exchange connects.

        Raises:
            MistakeError: no host, or an option that the scheme does not have.
        """
        self._place = http_place(settings)
        super().__init__(
            settings,
            seconds_per_byte=0.0,
            silence_s=0.0,
            drops_after_noise=True,
            drops_when_silent=True,
        )

    async def _open(self, connection: Connection) -> None:
        await open_tcp(connection, self._place.host, self._place.port)

    async def _ask(
        self,
        connection: Connection,
        request: bytes,
        decoder: FrameDecoder[T],
        urgency: Urgency,
        wait_s: float,
    ) -> T:
        """Exchange, and give the connection up where nobody could tell what comes on it next."""
        try:
            answer = await super()._ask(connection, request, decoder, urgency, wait_s)
        except BaseException:
            # Answers carry no number: one that comes late would be taken for the next one.
            connection.abort()
            raise
        if isinstance(decoder, Farewell) and decoder.is_last:
            connection.abort()
        return answer
