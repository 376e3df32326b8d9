"""The `[[bus]]` and `[[device]]` sections of the local configuration.

Owns their keys, their bounds, what refers to what, and the readers of values that other sections
have too. Leaves out the file and the other sections (`agent.config`).
"""

import os
from collections.abc import Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from urllib.parse import urlsplit

from agent.buses.http import HTTP_PORT
from agent.buses.timing import line_timing, usual_silence_ms
from agent.buses.udp import SMP_PORT
from agent.core.device import DeviceSettings
from agent.core.ports import BusSettings
from agent.core.utilisation import BusLoad, DeviceLoad, Pace, poll_ms, sentence
from agent.drivers.registry import poll_frames
from shared import limits
from shared.errors import MistakeError, nearest
from shared.ids import DeviceId, is_name
from shared.model.addressing import addresses_of
from shared.model.judging import JUDGING_KEYS, Judging, judging_of
from shared.model.profile import Profile, parse_profile, refuse_aggregate_twins
from shared.model.selector import is_label
from shared.model.toml_text import TomlTable

_BUS_KEYS = ("name", "url", "response_timeout_ms", "retries", "inter_frame_ms")
_DEVICE_KEYS = ("id", "bus", "address", "profile", "poll_interval_s", "labels", "points")

_SHIPPED = Path(__file__).parent / "profiles"
"""Profiles that come with the agent."""
_POLL_INTERVAL_MS = 60_000
"""`DeviceSettings`' own default."""
_TURNAROUND_MS = 5
"""What most devices on a serial line think before they answer, where a profile says nothing."""
_SERIAL_UNITS = (1, 247)
"""Modbus over Serial Line V1.02, 2.2: 0 is broadcast, above 247 is reserved."""
_MODBUS_PORT = 502
"""Modbus Messaging on TCP/IP V1.0b, 4.2.1: where servers listen."""
_USUAL_PORTS = {
    "tcp": _MODBUS_PORT,
    "udp": SMP_PORT,
    "http": HTTP_PORT,
    "snmp": 161,
    "mqtt": 1883,
    "mqtts": 8883,
}
_TCP_UNITS = (0, 255)
"""Modbus Messaging on TCP/IP V1.0b, 4.4.2.3: 255, or 0, addresses the server itself."""


def buses_of(root: TomlTable) -> dict[str, BusSettings]:
    """Return the ports by name; no two are the same port."""
    tables = root.tables("bus", _BUS_KEYS)
    if len(tables) > limits.BUSES:
        raise root.mistake(f"{len(tables)} buses, at most {limits.BUSES} are possible", key="bus")
    buses: dict[str, BusSettings] = {}
    ports: dict[str, str] = {}
    for table in tables:
        name = _name(table, "name")
        if name in buses:
            raise table.mistake(f"a bus {name!r} exists already", key="name")
        port = _port(table)
        if port in ports:
            raise table.mistake(
                f"{port} is already the port of bus {ports[port]!r}",
                key="url",
                mend="one bus owns a port; give all its devices the same bus",
            )
        ports[port] = name
        buses[name] = _bus(table, name)
    return buses


def _bus(table: TomlTable, name: str) -> BusSettings:
    url = table.string("url")
    default = BusSettings(name=name, url=url)
    return BusSettings(
        name=name,
        url=url,
        response_timeout_ms=table.integer("response_timeout_ms", 10, limits.RESPONSE_TIMEOUT_MAX_MS)
        if "response_timeout_ms" in table.values
        else None,
        retries=table.integer("retries", 0, limits.BUS_RETRIES, default.retries),
        inter_frame_ms=table.integer("inter_frame_ms", 0, limits.SILENCE_MS, usual_silence_ms(url)),
    )


def _port(table: TomlTable) -> str:
    """Return what a bus's URL names, in one form, so that two names of one port are noticed."""
    url = table.string("url")
    if "\0" in url:
        raise table.mistake("url holds a zero byte", key="url")
    mend = (
        "write serial:///dev/ttyUSB0?baud=9600&parity=E, tcp://HOST:PORT, rtu+tcp://HOST:PORT, "
        "udp://HOST:PORT, http://HOST, snmp://HOST or mqtt://HOST"
    )
    try:
        parts = urlsplit(url)
        host, number = parts.hostname, parts.port
    except ValueError as error:
        raise table.mistake(f"url {url!r} cannot be read: {error}", key="url", mend=mend) from None
    if parts.scheme == "serial":
        if parts.netloc or not parts.path.startswith("/") or parts.path == "/":
            raise table.mistake(f"url {url!r} names no serial port", key="url", mend=mend)
        return os.path.realpath(parts.path)
    if parts.scheme not in {"rtu+tcp", *_USUAL_PORTS}:
        raise table.mistake(f"url {url!r} is of no known kind", key="url", mend=mend)
    if number is None:
        number = _USUAL_PORTS.get(parts.scheme)
    if not host or not number:
        raise table.mistake(f"url {url!r} lacks a host or a port", key="url", mend=mend)
    place = f"{host.lower()}:{number}"
    if parts.scheme in {"mqtt", "mqtts"}:
        # A broker is no port: each device behind it may have a connection of its own.
        return f"{place}{parts.path.rstrip('/')}"
    return f"udp {place}" if parts.scheme in {"udp", "snmp"} else place


def devices_of(
    root: TomlTable, buses: Mapping[str, BusSettings], folder: Path
) -> tuple[DeviceSettings, ...]:
    """Return the devices in the file's order, with their profiles; paths begin in `folder`."""
    tables = root.tables("device", _DEVICE_KEYS)
    if len(tables) > limits.DEVICES:
        raise root.mistake(
            f"{len(tables)} devices, at most {limits.DEVICES} are possible", key="device"
        )
    profiles: dict[Path, Profile] = {}
    devices = [_device(table, buses, folder, profiles) for table in tables]
    _refuse_twins(tables, devices)
    channels = sum(device.channels for device in devices)
    if channels > limits.CHANNELS:
        raise root.mistake(
            f"the devices have {channels} polled points and aggregates, one agent has room for "
            f"{limits.CHANNELS}",
            key="device",
            mend="set poll = false for points nobody looks at",
        )
    return tuple(devices)


def _device(
    table: TomlTable,
    buses: Mapping[str, BusSettings],
    folder: Path,
    profiles: dict[Path, Profile],
) -> DeviceSettings:
    name = _name(table, "id")
    if not buses:
        raise table.mistake(f"device {name!r} has no bus to be on", mend="add a [[bus]] section")
    bus = buses[table.choice("bus", tuple(buses))]
    profile = _profile(table, folder, profiles)
    units = _units(profile, bus)
    return DeviceSettings(
        id=DeviceId(name),
        bus=bus.name,
        # Neither SMP nor HTTP has addresses: a device has its port to itself.
        address=table.integer("address", *units)
        if units is not None
        else table.integer("address", 0, 0, 0),
        profile=profile,
        judging=_judging(table, profile),
        poll_interval_ms=milliseconds(
            table, "poll_interval_s", limits.POLL_MIN_MS, limits.POLL_MAX_MS, _POLL_INTERVAL_MS
        ),
        labels=labels_of(table),
    )


def _units(profile: Profile, bus: BusSettings) -> tuple[int, int] | None:
    """Return the addresses that a device can have there; None: it has none."""
    if profile.protocol == "modbus":
        return _TCP_UNITS if bus.url.startswith("tcp:") else _SERIAL_UNITS
    return addresses_of(profile.protocol, profile.sections)


def _judging(table: TomlTable, profile: Profile) -> dict[str, Judging]:
    """Return how the points of a device are judged that the file names one by one."""
    polled = {point.name: point for point in profile.polled}
    points = table.table("points", tuple(polled))
    found: dict[str, Judging] = {}
    for name in points.values:
        keys = points.table(name, JUDGING_KEYS)
        found[name] = judging_of(keys, polled[name].kind, polled[name].judging)
        refuse_aggregate_twins(keys, name, found[name], {one.name for one in profile.points})
    return found


def _profile(table: TomlTable, folder: Path, profiles: dict[Path, Profile]) -> Profile:
    path = _profile_path(table, folder)
    if path not in profiles:
        try:
            with path.open("rb") as file:
                data = file.read(limits.PROFILE_BYTES + 1)
        except OSError as error:
            raise table.mistake(
                f"the profile {path} cannot be read ({os.strerror(error.errno or 0)})",
                key="profile",
                mend="paths are relative to the configuration's folder",
            ) from error
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError:
            raise table.mistake(f"the profile {path} is not UTF-8 text", key="profile") from None
        profiles[path] = parse_profile(text, source=str(path))
    return profiles[path]


def _profile_path(table: TomlTable, folder: Path) -> Path:
    """Return where a profile lies: a plain name is one of those that come with the agent."""
    written = path_of(table, "profile")
    if not is_name(written) or (folder / written).exists():
        return folder / written
    shipped = sorted(path.stem for path in _SHIPPED.glob("*.toml"))
    if written not in shipped:
        close = nearest(written, shipped)
        known = f"the agent comes with {', '.join(shipped)}; yours are named like ./{written}.toml"
        mend = f"did you mean {close!r}?" if close else known
        raise table.mistake(f"there is no profile {written!r}", key="profile", mend=mend)
    return _SHIPPED / f"{written}.toml"


def _refuse_twins(tables: list[TomlTable], devices: list[DeviceSettings]) -> None:
    """Refuse two devices of one id, or in one place."""
    ids: dict[str, TomlTable] = {}
    places: dict[tuple[str, int], DeviceSettings] = {}
    for table, device in zip(tables, devices, strict=True):
        if (twin := ids.setdefault(device.id, table)) is not table:
            raise table.mistake(
                f"a device {device.id!r} exists already, {twin.text.where(twin.path)}", key="id"
            )
        if (other := places.setdefault((device.bus, device.address), device)) is not device:
            raise table.mistake(
                f"address {device.address} on bus {device.bus!r} is device {other.id!r} already",
                key="address",
            )


def loads_of(
    root: TomlTable, buses: Iterable[BusSettings], devices: Iterable[DeviceSettings]
) -> tuple[BusLoad, ...]:
    """Return what polling will cost each bus, once it is certain that each can keep up."""
    tables = {table.values["name"]: table for table in root.tables("bus", _BUS_KEYS)}
    loads: list[BusLoad] = []
    for bus in buses:
        polled = [one for one in devices if one.bus == bus.name and one.profile.polled]
        try:
            load = BusLoad(bus=bus.name, devices=tuple(_load(one, bus) for one in polled))
        except MistakeError as error:
            raise tables[bus.name].mistake(error.what, key="url", mend=error.mend) from None
        if not load.fits:
            what, mend = sentence(load)
            raise tables[bus.name].mistake(what, mend=mend)
        loads.append(load)
    return tuple(loads)


def _load(device: DeviceSettings, bus: BusSettings) -> DeviceLoad:
    timing = line_timing(bus)
    turnaround_ms = device.profile.limits.turnaround_ms
    if turnaround_ms is None:
        turnaround_ms = _TURNAROUND_MS if timing.seconds_per_byte else 0
    pace = Pace(
        seconds_per_byte=timing.seconds_per_byte,
        silence_s=max(timing.silence_s, bus.inter_frame_ms / 1000),
        turnaround_s=max(timing.silence_s, turnaround_ms / 1000),
    )
    return DeviceLoad(
        device=device.id,
        interval_ms=device.poll_interval_ms,
        poll_ms=poll_ms(poll_frames(device), pace),
    )


def labels_of(table: TomlTable) -> dict[str, str]:
    """Return the labels an operator gave to an agent or a device."""
    known = table.values.get("labels", {})
    labels = table.table("labels", tuple(known) if isinstance(known, dict) else ())
    if len(labels.values) > limits.LABELS:
        raise labels.mistake(f"{len(labels.values)} labels, at most {limits.LABELS} are possible")
    found = {key: labels.string(key) for key in labels.values}
    for key, value in found.items():
        if not is_label(key, value):
            raise labels.mistake(
                f"{key[:60]!r} = {value[:60]!r} is no label",
                key=key,
                mend="use up to 63 letters, digits, -, _ and . (in the name also /)",
            )
    return found


def path_of(table: TomlTable, key: str, default: str | None = None) -> str:
    """Return a path as it was written."""
    path = table.string(key, default)
    if not path or "\0" in path:
        raise table.mistake(f"{key} = {path!r} is no path", key=key)
    return path


def _name(table: TomlTable, key: str) -> str:
    name = table.string(key)
    if not is_name(name):
        raise table.mistake(
            f"{key} = {name[:60]!r} is no name",
            key=key,
            mend="use 1 to 40 lower case letters, digits, - and _",
        )
    return name


def milliseconds(table: TomlTable, key: str, low: int, high: int, default: int) -> int:
    """Return a time that is written in seconds, fractions allowed."""
    if key not in table.values:
        return default
    seconds = table.number(key)
    # Compared first: times a thousand, the largest decimals overflow. Decimals against decimals:
    # the float 0.1 is a little more than the 0.1 that a person writes.
    if not Decimal(low) / 1000 <= seconds <= Decimal(high) / 1000 or seconds * 1000 % 1:
        raise table.mistake(
            f"{key} = {table.values[key]} is not a time from {low / 1000:g} to {high // 1000} "
            "seconds in whole milliseconds",
            key=key,
        )
    return int(seconds * 1000)
