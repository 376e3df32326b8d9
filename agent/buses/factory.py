"""Every kind of port, by the scheme of its URL.

Owns the choice; leaves out each scheme's own options (`serial`, `tcp`).
"""

from collections.abc import Callable

from agent.buses.http import HttpBus
from agent.buses.line import Line
from agent.buses.serial import SerialBus
from agent.buses.tcp import TcpBus
from agent.buses.udp import UdpBus
from agent.core.ports import Bus, BusSettings
from shared.errors import MistakeError, nearest

BUSES: dict[str, Callable[[BusSettings], Line]] = {
    "serial": SerialBus,
    "tcp": TcpBus,
    "rtu+tcp": TcpBus,
    "udp": UdpBus,
    "http": HttpBus,
}


def open_bus(settings: BusSettings) -> Bus:
    """Return the bus for a URL; its port is opened by the first exchange, and again after a loss.

    Raises:
        MistakeError: no such scheme, or the URL does not fit it; names the mend.
    """
    scheme, separator, _ = settings.url.partition("://")
    kind = BUSES.get(scheme)
    if not separator or kind is None:
        close = nearest(scheme, BUSES)
        raise MistakeError(
            f"{settings.url!r} is no port",
            where=f"bus {settings.name}",
            mend=f"did you mean {close}://?"
            if separator and close
            else "write serial:///dev/ttyUSB0?baud=9600 or tcp://HOST:PORT",
        )
    return kind(settings)
