"""Gateways of one site that share files on the loopback interface."""

from pathlib import Path

from tests.system.fleet import Fleet
from tests.system.fleet_parts import Gateway

SITE = "west"


async def add_neighbour(
    fleet: Fleet, name: str, *, site: str = SITE, share: bool = True
) -> Gateway:
    """Enrol another gateway of a site, its name as its role; it does not run yet."""
    gateway = await fleet.add_gateway(name, enrol=False, start=False)
    text = gateway.config.read_text()
    assert "allow = false" in text, "the demo shares nothing"
    on = 'allow = true\ninterfaces = ["127.0.0.1"]'
    text = text.replace("allow = false", on if share else "allow = false").replace(
        'role = "pump"', f'role = "{name}"'
    )
    gateway.config.write_text(text)
    await gateway.enrol(await fleet.claim(gateway.folder / "claim.json", site=site))
    return gateway


def whole(gateway: Gateway, digest: bytes) -> Path:
    """Return where a file is once all of it is here."""
    return gateway.data / "artifacts" / digest.hex()


def come(gateway: Gateway, digest: bytes) -> int:
    """Return how many bytes of a file are here."""
    parts = [whole(gateway, digest), *(gateway.data / "artifacts").glob(f"{digest.hex()}*.part")]
    return max((part.stat().st_size for part in parts if part.exists()), default=0)
