"""Tells the local network where this coordinator is (mDNS, RFC 6762; DNS-SD, RFC 6763).

An announcement proves nothing and is meant to: gateways take it for a candidate address and insist
on the fleet's own CA there. It tells the port and the first digits of the fleet's id. Loads
zeroconf on first use.
"""

import asyncio
import socket
from collections.abc import Sequence
from importlib.util import find_spec
from ipaddress import ip_address

from shared.errors import MistakeError
from shared.ids import FleetId
from shared.runtime.logs import Events

SERVICE = "_outstation._tcp.local."
FLEET_DIGITS = 16
"""Enough to leave out the neighbours' fleets; `agent.services.discovery` has the same."""

_log = Events(__name__)


class Announcer:
    """The service that announces while it runs."""

    name = "announcer"

    def __init__(self, fleet: FleetId, *, host: str, port: int) -> None:
        """Announce what listens at `host`; a loopback address is told on the loopback alone.

        Raises:
            MistakeError: zeroconf is not installed, or `host` is a name.
        """
        self._fleet, self._host, self._port = fleet, host, port
        if find_spec("zeroconf") is None:
            raise MistakeError(
                "announcing needs zeroconf, which is not installed",
                where="--announce",
                mend="pip install outstation[discovery]",
            )

    async def run(self) -> None:
        """Announce until cancelled; then say goodbye."""
        from zeroconf import InterfaceChoice  # noqa: PLC0415
        from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf  # noqa: PLC0415

        at = _addresses(self._host)
        digits = self._fleet.hex()[:FLEET_DIGITS]
        info = AsyncServiceInfo(
            SERVICE,
            f"outstation-{digits[:8]}-{self._port}.{SERVICE}",
            port=self._port,
            parsed_addresses=list(at),
            properties={"fleet": digits},
            server=f"outstation-{digits[:8]}-{self._port}.local.",
        )
        everywhere = ip_address(self._host).is_unspecified
        interfaces = InterfaceChoice.All if everywhere else list(at)
        responder = AsyncZeroconf(interfaces=interfaces)
        try:
            await responder.async_register_service(info, allow_name_change=True)
            _log.event("announced", addresses=",".join(at), port=self._port)
            await asyncio.Event().wait()
        finally:
            await responder.async_unregister_all_services()
            await responder.async_close()


def _addresses(host: str) -> Sequence[str]:
    """Return the addresses to tell: the one listened at, or the one of the way out."""
    if not ip_address(host).is_unspecified:
        return [host]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            # Nothing is sent: the kernel only says by which address it would be.
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return ["127.0.0.1"]
        return [str(probe.getsockname()[0])]
