"""What stands where in the demo: three sites, their devices, and the files they need.

Pure text and values; nothing is started here.
"""

import tomllib
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

POLL_INTERVAL_S = 1
SYNC_INTERVAL_S = 2


@dataclass(frozen=True, slots=True)
class Place:
    """One simulated device at a site."""

    id: str
    model: str
    serial: bool
    """On a pseudo-terminal as Modbus RTU; otherwise Modbus TCP."""

    @property
    def polled(self) -> list[str]:
        """Return the points that an agent polls, by the profile it is given."""
        points = tomllib.loads(profile_text(self.model))["point"]
        return [point["name"] for point in points if point["poll"]]


@dataclass(frozen=True, slots=True)
class Site:
    """One remote site: a gateway, its devices, and a link to the coordinator."""

    name: str
    devices: tuple[Place, ...]
    hostile: bool
    """Whether the attacker sits in the middle of this site's link."""


SITES = (
    Site("north", (Place("pump-1", "pump", serial=True),), hostile=True),
    Site("south", (Place("pump-1", "pump", serial=False),), hostile=True),
    Site(
        "west",
        (Place("pump-1", "pump", serial=True), Place("meter-1", "meter", serial=False)),
        hostile=False,
    ),
)


def profile_text(model: str) -> str:
    """Return the device profile that describes a model to an agent."""
    return (files("firmware_sim.demo") / "profiles" / f"{model}.toml").read_text()


def write_agent_config(
    folder: Path,
    site: Site,
    urls: dict[str, str],
    *,
    poll_interval_s: float = POLL_INTERVAL_S,
    sync_interval_s: float = SYNC_INTERVAL_S,
) -> Path:
    """Write a gateway's configuration and profiles into `folder`; `urls` says where devices are."""
    lines = [
        "[agent]",
        f'data_dir = "{folder / "data"}"',
        f'runtime_dir = "{folder / "run"}"',
        'labels = { role = "pump" }',
        "[uplink]",
        f"sync_interval_s = {sync_interval_s}",
        "long_poll = true",
        # Each site has one gateway, and whoever tries the demo expects nothing on the LAN.
        "[sharing]",
        "allow = false",
    ]
    for place in site.devices:
        (folder / f"{place.model}.toml").write_text(profile_text(place.model))
        lines += [
            "[[bus]]",
            f'name = "bus-{place.id}"',
            f'url = "{urls[place.id]}"',
            # A busy machine must not turn into a retry: every answered poll is counted twice.
            "response_timeout_ms = 5000",
            "[[device]]",
            f'id = "{place.id}"',
            f'bus = "bus-{place.id}"',
            "address = 1",
            f'profile = "{place.model}.toml"',
            f"poll_interval_s = {poll_interval_s}",
        ]
    path = folder / "agent.toml"
    path.write_text("\n".join(lines) + "\n")
    return path
