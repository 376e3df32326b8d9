"""Every kind of port, by the scheme of its URL.

Owns the choice; leaves out each scheme's own options (`serial`, `tcp`). Schemes that few sites
have are imported when the first port of theirs is opened.
"""

from collections.abc import Callable

from agent.buses.line import Line
from agent.buses.serial import SerialBus
from agent.buses.tcp import TcpBus
from agent.core.ports import Bus, BusSettings
from shared.errors import MistakeError, nearest


def _udp(settings: BusSettings) -> Line:
    from agent.buses.udp import UdpBus  # noqa: PLC0415 - on first use

    return UdpBus(settings)


def _http(settings: BusSettings) -> Line:
    from agent.buses.http import HttpBus  # noqa: PLC0415 - on first use

    return HttpBus(settings)


def _snmp(settings: BusSettings) -> Line:
    from agent.buses.snmp import SnmpBus  # noqa: PLC0415 - on first use

    return SnmpBus(settings)


def _mqtt(settings: BusSettings) -> Line:
    from agent.buses.mqtt import MqttBus  # noqa: PLC0415 - on first use

    return MqttBus(settings)


BUSES: dict[str, Callable[[BusSettings], Line]] = {
    "serial": SerialBus,
    "tcp": TcpBus,
    "rtu+tcp": TcpBus,
    "udp": _udp,
    "http": _http,
    "snmp": _snmp,
    "mqtt": _mqtt,
    "mqtts": _mqtt,
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
