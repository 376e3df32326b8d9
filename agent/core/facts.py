"""Which facts a condition's names stand for, and where each comes from.

Owns taking names apart. Who reads points and knows the box stands in `agent.services.facts`.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from shared.ids import DeviceId

_DEVICE = "device."
_DEVICES = "devices."
SAID = frozenset({"device.vendor", "device.model", "device.firmware"})
"""What the device in work says of itself."""
OWN = SAID | {"device.id", "device.kind", "device.profile", "device.up"}
"""Facts of the device in work that are no points of it."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What has to be found out for some conditions."""

    points: dict[DeviceId, tuple[str, ...]]
    """Points to read, by device."""
    device: frozenset[str]
    """Facts of the device in work."""
    agent: frozenset[str]
    """Facts of the agent."""


def wanted(names: Iterable[str], device: DeviceId, known: Collection[DeviceId]) -> Wanted:
    """Return where the facts of these names come from.

    Args:
        names: as conditions name them; those of earlier steps are left out by whoever asks.
        device: the one in work; empty for work of the agent itself.
        known: every device attached; ids may contain no dots.
    """
    points: dict[DeviceId, list[str]] = {}
    own: set[str] = set()
    agent: set[str] = set()
    for name in names:
        if name in OWN:
            own.add(name)
        elif name.startswith(_DEVICE):
            if device:
                points.setdefault(device, []).append(name.removeprefix(_DEVICE))
        elif name.startswith(_DEVICES):
            other, _, point = name.removeprefix(_DEVICES).partition(".")
            if other in known and point:
                points.setdefault(DeviceId(other), []).append(point)
        else:
            agent.add(name)
    read = {one: tuple(sorted(set(names_of))) for one, names_of in points.items()}
    return Wanted(read, frozenset(own), frozenset(agent))


def point_names(device: DeviceId, point: str, *, in_work: DeviceId) -> tuple[str, ...]:
    """Return the names under which conditions know a point's value."""
    full = f"{_DEVICES}{device}.{point}"
    return (f"{_DEVICE}{point}", full) if device == in_work else (full,)
