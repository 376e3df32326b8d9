"""What a person may choose about readings and contacts, as frozen values with their defaults.

Owns the values; their bounds are enforced where text becomes a value (`agent.config`). Settings of
a port stand in `agent.core.ports`, those of a device in `agent.core.device`.
"""

from dataclasses import dataclass, field
from pathlib import Path

from agent.core.budget import BudgetSettings
from shared import limits


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowSettings:
    """When a modem that keeps hours can be reached."""

    cron: str
    """Minute, hour, day, month, weekday of each opening, in the site's zone."""
    minutes: int
    """How long it stays open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UplinkSettings:
    """How the agent meets its coordinator."""

    sync_interval_ms: int = 900_000
    """Between two contacts when nothing is urgent; on a metered link the longest silence."""
    long_poll: bool = False
    """Hold a contact open, so that jobs arrive at once; not for metered links."""
    metered: bool = False
    """Every byte costs: a contact waits until it is worth its own bytes, and carries 64 kB."""
    discover: bool = False
    """Look for the coordinator on the local network once its URL is silent for long."""
    budget: BudgetSettings = field(default_factory=BudgetSettings)
    """What the link may cost; see `agent.core.ladder`."""
    window: WindowSettings | None = None
    """When the coordinator can be reached at all; None: always."""
    time_zone: str = "UTC"
    """The site's: where its days begin and its windows open."""
    endpoint: str = ""
    """URL of the coordinator, where it is no longer the one this agent was enrolled with; whoever
    answers there still has to prove itself by the fleet's own CA."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptSettings:
    """Scripts that jobs may run, if the catalog names their very bytes."""

    folder: Path
    user: str = "nobody"
    """Who runs them, where the agent runs as root."""
    as_agent: bool = False
    """An agent that is not root runs them as itself: they can read what it can, its key too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscoverySettings:
    """How far jobs may look for devices here."""

    allowed: bool = True
    follow: bool = True
    """Whether a device that was attached from afar is followed to another place."""
    aside: tuple[str, ...] = ()
    """Devices that were attached from afar, or may be, and are left alone here."""
    probes_per_hour: int = limits.DISCOVERY_PROBES_PER_HOUR
    """Addresses that are asked on one bus."""
    services: tuple[str, ...] = ()
    """Listened for, as ``_http._tcp``; empty: those of common devices."""
    interfaces: tuple[str, ...] = ()
    """Addresses of this machine at which is listened; empty: all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SharingSettings:
    """Whether files are shared with the other gateways of the site."""

    allowed: bool = True
    interfaces: tuple[str, ...] = ()
    """Interfaces or addresses of this machine where files are offered; empty: on every LAN."""


METERED_SYNC_INTERVAL_MS = 21_600_000
"""Where bytes cost, a site with little to say calls every 6 hours, unless somebody chose."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TelemetrySettings:
    """How readings are kept until they are acknowledged."""

    commit_interval_ms: int = 300_000
    """Between two writes to flash: what a power cut may take."""
    storage_max_bytes: int = 256 << 20
    """Room for readings that wait; beyond it the oldest give way, and the ledger says so."""
    storage_min_free_percent: int = 10
    """Of the file system, left to others: whoever fills the disk otherwise takes the site down."""
    disk_write_budget_bytes: int = 20 << 20
    """Written to flash per day at most: beyond it commits come less often."""
