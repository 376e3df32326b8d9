"""Devices that announce themselves on the local network (mDNS, RFC 6762; DNS-SD, RFC 6763).

Whoever announces proves nothing by it: what comes of it are candidates, for a person to decide on.
Looking for a coordinator is `agent.services.discovery`'s.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

from shared import limits
from shared.errors import Reason, WorldError
from shared.model.candidate import Sighting

SERVICES: Final = (
    *("_shelly._tcp.local.", "_modbus._tcp.local.", "_sunspec._tcp.local."),
    *("_http._tcp.local.", "_mqtt._tcp.local.", "_smp._udp.local."),
)
"""Listened for where nobody says which."""
LISTEN_S: Final = 3
"""Answers come within a second, and a lost packet is asked for again after one more."""
_KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    "vendor": ("vendor", "manufacturer", "mf", "mfr"),
    "model": ("model", "md", "app", "product", "type"),
    "firmware": ("firmware", "fw_version", "fw", "ver", "version"),
    "serial": ("serial", "serialnumber", "sn", "mac", "id"),
}
"""Keys of TXT records that makers use, the clearest first; there is no standard for them."""


async def announced(
    services: Sequence[str] = SERVICES,
    *,
    listen_s: float = LISTEN_S,
    interfaces: Sequence[str] = (),
) -> list[Sighting]:
    """Return who announces one of these services, bounded.

    Args:
        services: as ``_http._tcp.local.``.
        listen_s: how long to listen.
        interfaces: addresses of this machine to listen at; empty: all of them.

    Raises:
        WorldError: zeroconf is not installed, or there is no network to listen to.
    """
    try:
        from zeroconf import InterfaceChoice  # noqa: PLC0415 - only who looks pays for it
        from zeroconf.asyncio import AsyncServiceBrowser, AsyncZeroconf  # noqa: PLC0415
    except ImportError:
        detail = "listening for devices needs zeroconf: pip install outstation[discovery]"
        raise WorldError(Reason.STEP_FAILED, detail) from None
    found: dict[tuple[str, str], None] = {}

    def heard(**change: Any) -> None:  # noqa: ANN401  # zeroconf calls by name
        if len(found) < limits.MDNS_SIGHTINGS:
            found[(change["service_type"], change["name"])] = None

    try:
        resolver = AsyncZeroconf(interfaces=list(interfaces) or InterfaceChoice.All)
    except OSError as error:
        detail = f"cannot listen to the local network ({error.strerror})"
        raise WorldError(Reason.STEP_FAILED, detail) from error
    try:
        browser = AsyncServiceBrowser(resolver.zeroconf, list(services), handlers=[heard])
        # Readiness cannot be waited for: only time tells that nobody else answers.
        await asyncio.sleep(listen_s)
        await browser.async_cancel()
        asked = (_resolved(resolver, kind, name, listen_s) for kind, name in found)
        return [one for one in await asyncio.gather(*asked) if one is not None]
    finally:
        await resolver.async_close()


async def _resolved(resolver: Any, kind: str, name: str, listen_s: float) -> Sighting | None:  # noqa: ANN401  # loaded on first use
    from zeroconf.asyncio import AsyncServiceInfo  # noqa: PLC0415

    info = AsyncServiceInfo(kind, name)
    if not await info.async_request(resolver.zeroconf, listen_s * 1000) or not info.port:
        return None
    addresses = info.parsed_addresses()
    if not addresses:
        return None
    return sighting_of(kind, name, addresses[0], info.port, info.decoded_properties)


def sighting_of(
    kind: str, name: str, address: str, port: int, said: Mapping[str, str | None]
) -> Sighting:
    """Return what an announcement says, as text that can be shown."""
    texts = {key.lower(): _shown(text) for key, text in said.items() if text}
    told = {
        member: next((texts[key] for key in keys if key in texts), "")
        for member, keys in _KEYS.items()
    }
    instance = _shown(name.removesuffix(f".{kind}"))
    host = f"[{address}]" if ":" in address else address
    # An instance keeps its name when its address changes (RFC 6763, 4.1.1).
    told["serial"] = told["serial"] or instance
    service = kind.removesuffix(".local.")
    return Sighting(way="mdns", place=f"{host}:{port}", name=f"{instance}.{service}", **told)


def _shown(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text)[
        : limits.CANDIDATE_CHARS
    ]
