"""Where a coordinator is: what a person or a network says, read and judged before it is used.

Owns what an address may be. Leaves out how it is reached (`agent.services.http_connection`), and
which of several is tried (`agent.services.roving`).
"""

from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from shared.errors import MistakeError


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a coordinator is."""

    host: str
    port: int
    path: str
    """What stands before ``/v1/...``; empty unless a proxy puts the coordinator below a path."""
    tls: bool
    at: str = ""
    """Connect to this address instead of asking for the host's; TLS still wants the host."""

    @property
    def name(self) -> str:
        """Return host and port as people write them."""
        return f"{self.at or self.host}:{self.port}"

    @property
    def authority(self) -> str:
        """Return what a Host header says: the port only if the scheme does not imply it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.tls else 80) else f"{host}:{self.port}"


def parse_url(text: str, *, where: str) -> Endpoint:
    """Return the endpoint of a coordinator's URL.

    Raises:
        MistakeError: not http(s), no host, or clear text to another machine.
    """
    mistake = MistakeError(
        f"{text[:200]!r} is no coordinator's URL",
        where=where,
        mend="write for example https://coordinator.example:8443",
    )
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise mistake from None
    if not text.isascii() or not text.isprintable() or " " in text:
        raise mistake  # the request is made of it; international names have an xn-- form
    if not host or parts.scheme not in {"http", "https"} or parts.query or parts.username:
        raise mistake
    tls = parts.scheme == "https"
    if not tls and not _is_loopback(host):
        raise MistakeError(
            f"{text[:200]!r} would send in clear text over a network", where=where, mend="use https"
        )
    return Endpoint(host, port or (443 if tls else 80), parts.path.rstrip("/"), tls)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
