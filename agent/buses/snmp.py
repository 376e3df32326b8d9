"""The UDP port of an SNMP agent, and the community that its URL names.

Owns the URL. What the datagrams hold is the driver's business (`agent.drivers.snmp`).
"""

from pathlib import Path
from typing import Final

from agent.buses.connection import Connection
from agent.buses.line import Line
from agent.buses.secret import read_line
from agent.buses.udp import open_udp
from agent.buses.url import PortUrl, parse_url
from agent.core.ports import BusSettings
from shared import limits

SNMP_PORT: Final = 161
_OPTIONS: Final = ("secret",)
_PUBLIC: Final = b"public"
"""What agents let everybody read with, unless somebody changed it."""


def snmp_url(settings: BusSettings) -> PortUrl:
    """Return the parts of a bus' URL.

    Raises:
        MistakeError: no host, a path, or an option that the scheme does not have.
    """
    url = parse_url(settings, _OPTIONS)
    if not url.host or url.path not in {"", "/"}:
        raise url.mistake(f"{settings.url!r} names no host", "write snmp://HOST")
    if "secret" in url.options and not url.options["secret"]:
        mend = "write ?secret=/etc/outstation/ups.community"
        raise url.mistake("the URL names no file with the community", mend)
    return url


def read_community(settings: BusSettings) -> bytes:
    """Return the community: from the file that the URL names, or ``public``.

    Raises:
        MistakeError: it cannot be read, others can read it too, or it is no community.
    """
    url = snmp_url(settings)
    if "secret" not in url.options:
        return _PUBLIC
    path = Path(url.options["secret"])
    community = read_line(path, url).encode()
    if len(community) > limits.SNMP_COMMUNITY_BYTES:
        most = limits.SNMP_COMMUNITY_BYTES
        raise url.mistake(f"{path} holds no community: it is longer than {most} bytes")
    return community


class SnmpBus(Line):
    """``snmp://host:161?secret=/etc/outstation/ups.community``."""

    def __init__(self, settings: BusSettings) -> None:
        """Read the URL; the first exchange makes the socket.

        Raises:
            MistakeError: no host, or an option that the scheme does not have.
        """
        url = snmp_url(settings)
        self._host, self._port = url.host, url.port or SNMP_PORT
        super().__init__(settings, seconds_per_byte=0.0, silence_s=0.0, drops_when_silent=True)

    async def _open(self, connection: Connection) -> None:
        await open_udp(connection, self._host, self._port)
