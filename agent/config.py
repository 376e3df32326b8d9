"""The local configuration: a TOML file becomes frozen values, bounded once.

Owns the sections and keys, their bounds, what refers to what, and the sentence for whatever a
person got wrong. The values live with their owners (`agent.core`). Leaves out opening ports and
folders: a configuration that reads well may still name a port that is not there.
docs/agent-config.md describes every key.
"""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from urllib.parse import urlsplit

from agent.core.device import DeviceSettings, with_silence
from agent.core.ports import BusSettings
from agent.core.settings import METERED_SYNC_INTERVAL_MS, TelemetrySettings, UplinkSettings
from shared import limits
from shared.errors import MistakeError
from shared.ids import DeviceId, is_name
from shared.model.profile import Profile, parse_profile
from shared.model.selector import is_label
from shared.model.toml_text import TomlTable, TomlText

DEFAULT_PATH = Path("/etc/outstation/agent.toml")
SYSTEM_RUNTIME_DIR = Path("/run/outstation")

_ROOT_KEYS = ("agent", "uplink", "telemetry", "bus", "device")
_AGENT_KEYS = ("data_dir", "runtime_dir", "labels")
_UPLINK_KEYS = ("sync_interval_s", "long_poll", "metered")
_TELEMETRY_KEYS = ("commit_interval_s", "storage_max_mb")
_BUS_KEYS = ("name", "url", "response_timeout_ms", "retries", "inter_frame_ms")
_DEVICE_KEYS = ("id", "bus", "address", "profile", "poll_interval_s", "labels")

_MEGABYTE = 1 << 20
_POLL_INTERVAL_MS = 60_000
"""`DeviceSettings`' own default."""
_SERIAL_UNITS = (1, 247)
"""Modbus over Serial Line V1.02, 2.2: 0 is broadcast, above 247 is reserved."""
_MODBUS_PORT = 502
"""Modbus Messaging on TCP/IP V1.0b, 4.2.1: where servers listen."""
_TCP_UNITS = (0, 255)
"""Modbus Messaging on TCP/IP V1.0b, 4.4.2.3: 255, or 0, addresses the server itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentConfig:
    """Everything a person decided about one agent."""

    path: Path
    data_dir: Path
    runtime_dir: Path
    """On memory, if the machine has such a place: the journal and the control socket."""
    labels: Mapping[str, str]
    """Facts for selectors; the site comes from the claim."""
    uplink: UplinkSettings
    telemetry: TelemetrySettings
    buses: tuple[BusSettings, ...]
    """With the longest pause that any device on them asks for."""
    devices: tuple[DeviceSettings, ...]
    """In the order of the file, which is the order of channels."""


def load_config(path: Path, *, environ: Mapping[str, str] = os.environ) -> AgentConfig:
    """Return the configuration in the file `path`; other paths in it are relative to its folder.

    Raises:
        MistakeError: the file, or a profile it names, cannot be read or used; points at the line.
    """
    text = TomlText(_read(path), source=str(path), bound=limits.CONFIG_BYTES)
    root = text.root(_ROOT_KEYS)
    folder = path.absolute().parent
    agent = root.table("agent", _AGENT_KEYS)
    data_dir = folder / _path(agent, "data_dir", "/var/lib/outstation")
    buses = _buses(root)
    devices = _devices(root, buses, folder)
    return AgentConfig(
        path=path,
        data_dir=data_dir,
        runtime_dir=_runtime_dir(agent, folder, data_dir, environ),
        labels=_labels(agent),
        uplink=_uplink(root.table("uplink", _UPLINK_KEYS)),
        telemetry=_telemetry(root.table("telemetry", _TELEMETRY_KEYS)),
        buses=tuple(with_silence(bus, devices) for bus in buses.values()),
        devices=devices,
    )


def default_runtime_dir(data_dir: Path, environ: Mapping[str, str] = os.environ) -> Path:
    """Return where the journal and the control socket go when nobody says so.

    The first that can be written: systemd's ``/run/outstation``, the user's own folder in memory,
    shared memory, and at last the data directory itself, which costs flash.
    """
    if os.access(SYSTEM_RUNTIME_DIR, os.W_OK | os.X_OK):
        return SYSTEM_RUNTIME_DIR
    name = f"outstation-{hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:12]}"
    for parent in (environ.get("XDG_RUNTIME_DIR", ""), "/dev/shm"):  # noqa: S108 - made 0700
        if parent and os.access(parent, os.W_OK | os.X_OK):
            return Path(parent, name)
    return data_dir


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(limits.CONFIG_BYTES + 1)
    except OSError as error:
        raise MistakeError(
            f"cannot be read ({os.strerror(error.errno or 0)})",
            where=str(path),
            mend="name the file with --config, or make it readable for this user",
        ) from error
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise MistakeError("is not UTF-8 text", where=str(path)) from None


def _runtime_dir(
    agent: TomlTable, folder: Path, data_dir: Path, environ: Mapping[str, str]
) -> Path:
    if "runtime_dir" in agent.values:
        return folder / _path(agent, "runtime_dir")
    return default_runtime_dir(data_dir, environ)


def _uplink(table: TomlTable) -> UplinkSettings:
    default = UplinkSettings()
    metered = table.flag("metered", default=default.metered)
    settings = UplinkSettings(
        sync_interval_ms=_milliseconds(
            table,
            "sync_interval_s",
            limits.SYNC_MIN_MS,
            limits.SYNC_MAX_MS,
            METERED_SYNC_INTERVAL_MS if metered else default.sync_interval_ms,
        ),
        long_poll=table.flag("long_poll", default=default.long_poll),
        metered=metered,
    )
    if settings.long_poll and settings.metered:
        raise table.mistake(
            "a metered link has no long_poll: holding a contact open costs bytes all day",
            key="long_poll",
            mend="switch one of the two off",
        )
    return settings


def _telemetry(table: TomlTable) -> TelemetrySettings:
    default = TelemetrySettings()
    low, high = limits.STORAGE_MIN_BYTES // _MEGABYTE, limits.STORAGE_MAX_BYTES // _MEGABYTE
    megabytes = table.integer("storage_max_mb", low, high, default.storage_max_bytes // _MEGABYTE)
    return TelemetrySettings(
        commit_interval_ms=_milliseconds(
            table,
            "commit_interval_s",
            limits.COMMIT_MIN_MS,
            limits.COMMIT_MAX_MS,
            default.commit_interval_ms,
        ),
        storage_max_bytes=megabytes * _MEGABYTE,
    )


def _buses(root: TomlTable) -> dict[str, BusSettings]:
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
        response_timeout_ms=table.integer(
            "response_timeout_ms", 10, limits.RESPONSE_TIMEOUT_MAX_MS, default.response_timeout_ms
        ),
        retries=table.integer("retries", 0, limits.BUS_RETRIES, default.retries),
        inter_frame_ms=table.integer(
            "inter_frame_ms", 0, limits.SILENCE_MS, default.inter_frame_ms
        ),
    )


def _port(table: TomlTable) -> str:
    """Return what a bus's URL names, in one form, so that two names of one port are noticed."""
    url = table.string("url")
    if "\0" in url:
        raise table.mistake("url holds a zero byte", key="url")
    mend = "write serial:///dev/ttyUSB0?baud=9600&parity=E, tcp://HOST:PORT or rtu+tcp://HOST:PORT"
    try:
        parts = urlsplit(url)
        host, number = parts.hostname, parts.port
    except ValueError as error:
        raise table.mistake(f"url {url!r} cannot be read: {error}", key="url", mend=mend) from None
    if parts.scheme == "serial":
        if parts.netloc or not parts.path.startswith("/") or parts.path == "/":
            raise table.mistake(f"url {url!r} names no serial port", key="url", mend=mend)
        return os.path.realpath(parts.path)
    if parts.scheme not in {"tcp", "rtu+tcp"}:
        raise table.mistake(f"url {url!r} is of no known kind", key="url", mend=mend)
    if number is None and parts.scheme == "tcp":
        number = _MODBUS_PORT
    if not host or not number:
        raise table.mistake(f"url {url!r} lacks a host or a port", key="url", mend=mend)
    return f"{host.lower()}:{number}"


def _devices(
    root: TomlTable, buses: Mapping[str, BusSettings], folder: Path
) -> tuple[DeviceSettings, ...]:
    tables = root.tables("device", _DEVICE_KEYS)
    if len(tables) > limits.DEVICES:
        raise root.mistake(
            f"{len(tables)} devices, at most {limits.DEVICES} are possible", key="device"
        )
    profiles: dict[Path, Profile] = {}
    devices = [_device(table, buses, folder, profiles) for table in tables]
    _refuse_twins(tables, devices)
    channels = sum(len(device.profile.polled) for device in devices)
    if channels > limits.CHANNELS:
        raise root.mistake(
            f"the devices have {channels} polled points, one agent has room for {limits.CHANNELS}",
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
    units = _TCP_UNITS if bus.url.startswith("tcp:") else _SERIAL_UNITS
    return DeviceSettings(
        id=DeviceId(name),
        bus=bus.name,
        address=table.integer("address", *units),
        profile=_profile(table, folder, profiles),
        poll_interval_ms=_milliseconds(
            table, "poll_interval_s", limits.POLL_MIN_MS, limits.POLL_MAX_MS, _POLL_INTERVAL_MS
        ),
        labels=_labels(table),
    )


def _profile(table: TomlTable, folder: Path, profiles: dict[Path, Profile]) -> Profile:
    path = folder / _path(table, "profile")
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


def _labels(table: TomlTable) -> dict[str, str]:
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


def _path(table: TomlTable, key: str, default: str | None = None) -> str:
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


def _milliseconds(table: TomlTable, key: str, low: int, high: int, default: int) -> int:
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
