"""Where a coordinator is listened for: a TLS port, or plain HTTP behind a proxy of its own.

Leaves out opening it (`coordinator.api.listen`).
"""

import ipaddress
from dataclasses import dataclass
from pathlib import Path

from coordinator.core.client_certificates import Demand
from shared.errors import MistakeError


@dataclass(frozen=True, slots=True, kw_only=True)
class Listen:
    """Where to serve; port 0 takes a free one."""

    host: str
    port: int
    announce: bool = False
    """Tell the local network; on a loopback address only this machine."""
    certificates: Demand = Demand.OFF
    """What is asked of gateways in TLS."""
    behind_proxy: bool = False
    """Plain HTTP: a proxy on this machine ends TLS and tells who calls."""
    socket: Path | None = None
    """A Unix socket in the place of host and port; behind a proxy only."""

    def check(self) -> None:
        """Check that nobody but a proxy of this machine can reach what is served in the clear.

        Raises:
            MistakeError: others could, or something is asked for that only TLS can do.
        """
        if not self.behind_proxy:
            if self.socket is not None:
                raise MistakeError(
                    "a socket is served in the clear", where="--listen", mend="add --behind-proxy"
                )
            return
        if self.socket is None and not _is_loopback(self.host):
            raise MistakeError(
                f"{self.host} can be reached from outside, and nothing would be encrypted",
                where="--behind-proxy",
                mend="listen on 127.0.0.1:PORT or unix:PATH, with the proxy on this machine",
            )
        if self.certificates is not Demand.OFF:
            raise MistakeError(
                "the proxy ends TLS, so this program sees no certificates",
                where="--client-certificates",
                mend="let the proxy ask for them; its CA is the fleet's (tls/ca.pem)",
            )
        if self.announce:
            raise MistakeError(
                "the proxy's address is what the network needs to know",
                where="--announce",
                mend="leave it out behind a proxy",
            )


def _is_loopback(host: str) -> bool:
    """Tell whether only this machine can reach an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
