"""Where a coordinator may be: what the local network announces (mDNS, RFC 6762, DNS-SD, RFC 6763).

Candidates only. Whoever announces proves nothing by it: TLS is pinned to the fleet's own CA, under
the name of the URL that the box was given, and answers are signed. Loads zeroconf on first use.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from agent.services.endpoint import Endpoint
from shared.errors import MistakeError

SERVICE: Final = "_outstation._tcp.local."
LOOK_S: Final = 3
"""One look: answers come within a second, and a lost packet is asked for again after one more."""
CANDIDATES: Final = 8
"""Looked at in one round: a network full of liars must not keep a box from its turn."""
FLEET_KEY: Final = b"fleet"
FLEET_DIGITS: Final = 16
"""Hex digits of the fleet's id in an announcement: enough to leave out the neighbours' fleets."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """An address that somebody announced."""

    address: str
    port: int

    def __str__(self) -> str:
        """Return address and port as people write them."""
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{host}:{self.port}"


def endpoint_at(endpoint: Endpoint, candidate: Candidate, *, ca_pem: str, where: str) -> Endpoint:
    """Return the endpoint of a URL at another address; TLS wants the URL's own host there.

    Raises:
        MistakeError: nothing would prove that it is the coordinator.
    """
    if not endpoint.tls or not ca_pem:
        raise MistakeError(
            "an address that somebody announces is only used with https and the fleet's own CA",
            where=where,
            mend="name the coordinator's URL instead of looking for it",
        )
    return replace(endpoint, at=candidate.address, port=candidate.port)


async def look(
    fleet: bytes, *, look_s: float = LOOK_S, interfaces: Sequence[str] = ()
) -> list[Candidate]:
    """Return who announces a coordinator of this fleet, in the order in which they answered.

    Args:
        fleet: the fleet's id; announcements of others are left out.
        look_s: how long to listen.
        interfaces: addresses of this machine to listen at; empty: all of them.

    Raises:
        MistakeError: zeroconf is not installed, or there is no such interface.
    """
    zeroconf = _zeroconf()
    found: dict[str, None] = {}

    def heard(**change: Any) -> None:  # noqa: ANN401  # zeroconf calls by name
        if len(found) < CANDIDATES:
            found[change["name"]] = None

    try:
        resolver = zeroconf.AsyncZeroconf(interfaces=list(interfaces) or zeroconf.ALL)
    except OSError as error:
        raise MistakeError(
            f"cannot listen to the local network ({error.strerror})", where="--discover"
        ) from error
    try:
        browser = zeroconf.AsyncServiceBrowser(resolver.zeroconf, SERVICE, handlers=[heard])
        # Readiness cannot be waited for: only time tells that nobody else answers.
        await asyncio.sleep(look_s)
        await browser.async_cancel()
        wanted = fleet.hex()[:FLEET_DIGITS].encode()
        candidates: dict[Candidate, None] = {}
        for name in found:
            info = zeroconf.AsyncServiceInfo(SERVICE, name)
            if not await info.async_request(resolver.zeroconf, LOOK_S * 1000):
                continue
            if info.properties.get(FLEET_KEY) == wanted and info.port:
                every = info.parsed_addresses()
                candidates |= {Candidate(address, info.port): None for address in every}
        return list(candidates)[:CANDIDATES]
    finally:
        await resolver.async_close()


@dataclass(frozen=True, slots=True)
class _Zeroconf:
    AsyncZeroconf: Any
    AsyncServiceBrowser: Any
    AsyncServiceInfo: Any
    ALL: Any


def _zeroconf() -> _Zeroconf:
    try:
        from zeroconf import InterfaceChoice  # noqa: PLC0415
        from zeroconf.asyncio import (  # noqa: PLC0415
            AsyncServiceBrowser,
            AsyncServiceInfo,
            AsyncZeroconf,
        )
    except ImportError:
        raise MistakeError(
            "looking for a coordinator needs zeroconf, which is not installed",
            where="--discover",
            mend="pip install outstation[discovery], or name the coordinator's URL",
        ) from None
    return _Zeroconf(AsyncZeroconf, AsyncServiceBrowser, AsyncServiceInfo, InterfaceChoice.All)
