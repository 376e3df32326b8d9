"""Addresses by which this machine stands on a LAN: where it may offer files to its neighbours.

Owns what counts as a LAN: a private IPv4 address (RFC 1918, 3927) of an interface that is up and
takes broadcasts. A modem, a tunnel or a serial line is none, though carriers give private addresses
too, for each byte there is paid for. Leaves out listening (`agent.services.sharing`) and
announcing (`agent.services.site_mdns`).
"""

from collections.abc import Callable, Iterator, Sequence
from ipaddress import IPv4Interface, ip_address
from pathlib import Path
from typing import Final

from shared import limits
from shared.errors import Reason, WorldError

Network = IPv4Interface
"""An address of this machine with the network it is in."""
_UP, _BROADCAST, _LOOPBACK, _POINT_TO_POINT = 0x1, 0x2, 0x8, 0x10
"""IFF_ flags of <linux/if.h>, as sysfs tells them."""
_FLAGS: Final = "/sys/class/net/{}/flags"
Found = tuple[str, Network]
"""The name of an interface, and one of its addresses."""


def lan_networks(allowed: Sequence[str]) -> tuple[Network, ...]:
    """Return where files may be offered, bounded; blocks for a few system calls.

    Args:
        allowed: names of interfaces or addresses of this machine; empty: every LAN.

    Raises:
        WorldError: what it takes is not installed.
    """
    return tuple(choose(_found(), allowed, is_lan=_is_lan))[: limits.SHARE_ADDRESSES]


def choose(
    found: Sequence[Found], allowed: Sequence[str], *, is_lan: Callable[[str], bool]
) -> Iterator[Network]:
    """Yield what may be used of what there is; a person may name what is no LAN by itself."""
    for name, network in found:
        named = name in allowed or str(network.ip) in allowed
        if is_near(str(network.ip)) and (named if allowed else is_lan(name)):
            yield network


def is_near(address: str) -> bool:
    """Tell whether an address is one that no router of the internet passes on."""
    try:
        told = ip_address(address)
    except ValueError:
        return False
    return told.is_private and not told.is_unspecified


def nearest(addresses: Sequence[str], networks: Sequence[Network]) -> str | None:
    """Return by which of its addresses to reach a neighbour: one in a network of ours goes first.

    None: it says that it is somewhere on the internet, where nobody is asked, or has no IPv4.
    """
    near = [one for one in addresses if is_near(one) and ":" not in one]
    ours = [one for one in near if any(ip_address(one) in here.network for here in networks)]
    return next(iter(ours or near), None)


def _found() -> list[Found]:
    try:
        from ifaddr import get_adapters  # noqa: PLC0415 - comes with zeroconf, for who shares
    except ImportError:
        detail = "finding neighbours needs zeroconf: pip install outstation[discovery]"
        raise WorldError(Reason.STEP_FAILED, detail) from None
    return [
        (adapter.name, IPv4Interface(f"{ip.ip}/{ip.network_prefix}"))
        for adapter in get_adapters()
        for ip in adapter.ips
        if ip.is_IPv4
    ]


def _is_lan(name: str) -> bool:
    try:
        flags = int(Path(_FLAGS.format(name)).read_text(), 16)
    except (OSError, ValueError):
        return False
    wanted = _UP | _BROADCAST
    return flags & wanted == wanted and not flags & (_LOOPBACK | _POINT_TO_POINT)
