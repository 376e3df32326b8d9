"""The local configuration: a TOML file becomes frozen values, bounded once.

Owns the sections and keys, their bounds, what refers to what, and the sentence for whatever a
person got wrong. The values live with their owners (`agent.core`). Leaves out buses and devices
(`agent.config_devices`), and opening ports and folders: a configuration that reads well may still
name a port that is not there.
docs/agent-config.md describes every key.
"""

import contextlib
import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from agent.config_adopted import adopted_of, left_aside
from agent.config_devices import buses_of, devices_of, labels_of, loads_of, milliseconds, path_of
from agent.config_discovery import DISCOVERY_KEYS, discovery_of
from agent.config_sharing import SHARING_KEYS, sharing_of
from agent.config_uplink import UPLINK_KEYS, uplink_of, zone_label
from agent.core.adopted import without_adopted
from agent.core.device import DeviceSettings, with_silence
from agent.core.ports import BusSettings
from agent.core.settings import (
    DiscoverySettings,
    ScriptSettings,
    SharingSettings,
    TelemetrySettings,
    UplinkSettings,
)
from agent.core.utilisation import BusLoad
from agent.services.self_config import load_remote
from shared import limits
from shared.errors import MistakeError
from shared.model.job import Value
from shared.model.toml_text import TomlTable, TomlText

DEFAULT_PATH = Path("/etc/outstation/agent.toml")
SYSTEM_RUNTIME_DIR = Path("/run/outstation")

_ROOT_KEYS = ("agent", "uplink", "telemetry", "scripts", "discovery", "sharing", "bus", "device")
_AGENT_KEYS = ("data_dir", "runtime_dir", "labels")
_SCRIPT_KEYS = ("dir", "user", "as_agent")
_TELEMETRY_KEYS = (
    "commit_interval_s",
    "storage_max_mb",
    "storage_min_free_percent",
    "disk_write_budget_mb",
)

_MEGABYTE = 1 << 20


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
    scripts: ScriptSettings | None
    """None: no job runs a script here, whatever the catalog says."""
    buses: tuple[BusSettings, ...]
    """With the longest pause that any device on them asks for."""
    devices: tuple[DeviceSettings, ...]
    """In the order of the file, which is the order of channels."""
    loads: tuple[BusLoad, ...]
    """What polling is planned to cost each bus, in their order."""
    aside: tuple[str, ...] = ()
    """Devices from afar that the local file has left alone."""
    discovery: DiscoverySettings = field(default_factory=DiscoverySettings)
    """How far jobs may look for devices."""
    sharing: SharingSettings = field(default_factory=SharingSettings)
    """Whether files are shared with the other gateways of the site."""
    remote: Mapping[str, Value] = field(default_factory=dict, compare=False)
    """Settings that came from afar and are in force; see `agent.services.self_config`."""


def load_config(
    path: Path,
    *,
    environ: Mapping[str, str] = os.environ,
    remote: Mapping[str, Value] | None = None,
) -> AgentConfig:
    """Return the configuration in the file `path`; other paths in it are relative to its folder.

    Settings that came from afar go before those of the file; such as cannot be are left out, a
    trial first. With `remote` these and no others are tried.

    Raises:
        MistakeError: the file, or a profile it names, cannot be read or used; points at the line.
    """
    text = _read(path)
    if remote is not None:
        return _config_of(text, path, environ, remote, strict=True)
    local = _config_of(text, path, environ, {})
    document = load_remote(local.data_dir)
    # Devices from afar that the local file leaves no room for do not take the settings with them.
    alone = without_adopted(document.settings)
    for settings in (document.in_force, document.settings, alone):
        if settings:
            with contextlib.suppress(MistakeError):
                return _config_of(text, path, environ, settings)
    return local


def _config_of(
    content: str,
    path: Path,
    environ: Mapping[str, str],
    remote: Mapping[str, Value],
    *,
    strict: bool = False,
) -> AgentConfig:
    text = TomlText(content, source=str(path), bound=limits.CONFIG_BYTES)
    for name, value in without_adopted(remote).items():
        section, _, key = name.partition(".")
        table = text.values.setdefault(section, {})
        if isinstance(table, dict):
            table[key] = value
    root = text.root(_ROOT_KEYS)
    folder = path.absolute().parent
    agent = root.table("agent", _AGENT_KEYS)
    data_dir = folder / path_of(agent, "data_dir", "/var/lib/outstation")
    named = buses_of(root)
    local = devices_of(root, named, folder)
    discovery = discovery_of(root.table("discovery", DISCOVERY_KEYS))
    aside = discovery.aside
    afar = adopted_of(remote, data_dir, named, local, strict=strict, aside=aside)
    devices = (*local, *afar)
    buses = tuple(with_silence(bus, devices) for bus in named.values())
    uplink = uplink_of(root.table("uplink", UPLINK_KEYS))
    return AgentConfig(
        path=path,
        data_dir=data_dir,
        runtime_dir=_runtime_dir(agent, folder, data_dir, environ),
        labels={**zone_label(uplink.time_zone), **labels_of(agent)},
        uplink=uplink,
        telemetry=_telemetry(root.table("telemetry", _TELEMETRY_KEYS)),
        scripts=_scripts(root.table("scripts", _SCRIPT_KEYS), folder),
        discovery=discovery,
        sharing=sharing_of(root.table("sharing", SHARING_KEYS), discovery),
        buses=buses,
        devices=devices,
        aside=left_aside(remote, aside),
        loads=loads_of(root, buses, devices),
        remote=dict(remote),
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
        return folder / path_of(agent, "runtime_dir")
    return default_runtime_dir(data_dir, environ)


def _scripts(table: TomlTable, folder: Path) -> ScriptSettings | None:
    if not table.values:
        return None
    return ScriptSettings(
        folder=folder / path_of(table, "dir"),
        user=table.string("user", "nobody"),
        as_agent=table.flag("as_agent", default=False),
    )


def _telemetry(table: TomlTable) -> TelemetrySettings:
    default = TelemetrySettings()
    low, high = limits.STORAGE_MIN_BYTES // _MEGABYTE, limits.STORAGE_MAX_BYTES // _MEGABYTE
    megabytes = table.integer("storage_max_mb", low, high, default.storage_max_bytes // _MEGABYTE)
    return TelemetrySettings(
        commit_interval_ms=milliseconds(
            table,
            "commit_interval_s",
            limits.COMMIT_MIN_MS,
            limits.COMMIT_MAX_MS,
            default.commit_interval_ms,
        ),
        storage_max_bytes=megabytes * _MEGABYTE,
        storage_min_free_percent=table.integer(
            "storage_min_free_percent", 0, 90, default.storage_min_free_percent
        ),
        disk_write_budget_bytes=_MEGABYTE
        * table.integer(
            "disk_write_budget_mb",
            1,
            limits.DISK_WRITE_BUDGET_MB,
            default.disk_write_budget_bytes // _MEGABYTE,
        ),
    )
