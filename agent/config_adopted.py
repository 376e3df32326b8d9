"""Devices that were attached from afar, beside those of the local file, which goes first.

Owns what such a device must not collide with. What is kept of it stands in `agent.core.adopted`.
"""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from agent.core.adopted import FOLDER, Adopted, adopted_in
from agent.core.device import DeviceSettings
from agent.core.ports import BusSettings
from shared import limits
from shared.errors import MistakeError
from shared.ids import DeviceId
from shared.model.job import Value
from shared.model.profile import parse_profile


def left_aside(settings: Mapping[str, Value], aside: Collection[str]) -> tuple[str, ...]:
    """Return the devices from afar that the local file has left alone."""
    return tuple(name for name in adopted_in(settings) if name in aside)


def adopted_of(
    settings: Mapping[str, Value],
    data_dir: Path,
    buses: Mapping[str, BusSettings],
    local: Sequence[DeviceSettings],
    *,
    strict: bool,
    aside: Collection[str] = (),
) -> tuple[DeviceSettings, ...]:
    """Return the devices from afar, in the order in which they came.

    Args:
        settings: all that came from afar.
        data_dir: their profiles lie there.
        buses: of the local file.
        local: devices of the local file.
        strict: whether one that cannot be is a mistake, or is left out.
        aside: names that are left alone.

    Raises:
        MistakeError: one cannot be.
    """
    found: list[DeviceSettings] = []
    for name, one in adopted_in(settings).items():
        if name in aside:
            continue
        try:
            found.append(_device(name, one, data_dir, buses, [*local, *found]))
        except MistakeError:
            if strict:
                raise
    return tuple(found)


def _device(
    name: str,
    one: Adopted,
    data_dir: Path,
    buses: Mapping[str, BusSettings],
    others: Sequence[DeviceSettings],
) -> DeviceSettings:
    where = f"device {name}"
    if one.bus not in buses:
        raise MistakeError(f"there is no bus {one.bus[:40]!r}", where=where)
    for other in others:
        if other.id == name:
            raise MistakeError("the local file has a device of that name", where=where)
        if (other.bus, other.address) == (one.bus, one.address):
            what = f"address {one.address} on bus {one.bus!r} is device {other.id!r} already"
            raise MistakeError(what, where=where)
    if len(others) >= limits.DEVICES:
        raise MistakeError(f"one agent has room for {limits.DEVICES} devices", where=where)
    path = data_dir / FOLDER / f"{one.profile}.toml"
    try:
        text = path.read_bytes()[: limits.PROFILE_BYTES].decode("utf-8")
    except (OSError, UnicodeDecodeError):
        raise MistakeError("its profile is not here", where=where) from None
    device = DeviceSettings(
        id=DeviceId(name),
        bus=one.bus,
        address=one.address,
        profile=parse_profile(text, source=f"profile of {name}"),
        poll_interval_ms=one.poll_interval_ms,
    )
    if sum(each.channels for each in (*others, device)) > limits.CHANNELS:
        what = f"one agent has room for {limits.CHANNELS} polled points and aggregates"
        raise MistakeError(what, where=where)
    return device
