"""Bytes on the wire for a file that a gateway fetches, beside the file's own size.

Both programs are real, and the link between them is cut whenever a connection has carried so many
bytes in both directions together: TLS handshakes, headers, what was lost on its way and the
gateway's contacts are all in the figure. The comparison is the same link without cuts.

Then a site of three gateways, each with a link of its own to the coordinator and all on one LAN:
what the coordinator's links carried per site, with files shared and with each for itself.
"""

import argparse
import asyncio
import tempfile
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

from shared.model.artifact import artifact_text
from tests.system.fleet import Fleet, open_fleet
from tests.system.fleet_parts import until
from tests.system.sharing_site import add_neighbour, whole

PREFIX = "outstation-artifact-"
SYNC_S = 5
"""Between contacts: those that fall into the download are in the figure."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--size", type=int, default=1_000_000, help="bytes of the file (1 MB)")
    parser.add_argument("--cut", type=int, default=65_536, help="bytes of a connection (64 kB)")


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Fetch one file over the link that is cut, and one over the same link whole."""
    with tempfile.TemporaryDirectory(prefix=PREFIX) as folder:
        return asyncio.run(measure(Path(folder), options.size, options.cut))


async def measure(folder: Path, size: int, cut: int) -> dict[str, Any]:
    """Return the figures of both."""
    async with open_fleet(folder) as fleet:
        await fleet.start_coordinator()
        cut_off = await fetched(fleet, "cut", size, cut)
        whole = await fetched(fleet, "whole", size, None)
        shared = await site_of_three(fleet, "shared", size, share=True)
        apart = await site_of_three(fleet, "apart", size, share=False)
    site = {"shared": shared, "apart": apart}
    return {"size": size, "cut_bytes": cut, **cut_off, "whole": whole, "site_of_three": site}


async def pushed(fleet: Fleet, name: str, size: int) -> tuple[bytes, dict[str, Any]]:
    """Hand in a new file; return its hash, and the step that fetches it."""
    file = fleet.folder / f"{name}.bin"
    data = Random(name).randbytes(size)
    file.write_bytes(data)
    told = await fleet.outstation("artifacts", "push", str(file))
    assert told.status == 0, told
    digest = sha256(data).digest()
    params = {"artifact": artifact_text(digest), "size": size}
    return digest, {"id": "get", "action": "agent.fetch", "params": params, "timeout_s": 600}


async def site_of_three(fleet: Fleet, site: str, size: int, *, share: bool) -> dict[str, Any]:
    """Let three new gateways of one site fetch a new file."""
    digest, step = await pushed(fleet, site, size)
    gateways = [
        await add_neighbour(fleet, f"{site}-{number}", site=site, share=share)
        for number in range(1, 4)
    ]
    await fleet.submit({"name": "ahead", "targets": {"selector": f"site={site}"}, "steps": [step]})
    before = sum(gateway.link.stats.total_bytes for gateway in gateways)
    for gateway in gateways:
        await gateway.start()

    async def here() -> bool | None:
        return True if all(whole(gateway, digest).exists() for gateway in gateways) else None

    await until("the file to come to all of them", here)
    wire = sum(gateway.link.stats.total_bytes for gateway in gateways) - before
    for gateway in gateways:
        await gateway.stop()
    return {"wire_bytes": wire, "ratio": round(wire / size, 4)}


async def fetched(fleet: Fleet, name: str, size: int, cut: int | None) -> dict[str, Any]:
    """Let a new gateway fetch a new file."""
    digest, step = await pushed(fleet, name, size)
    gateway = await fleet.add_gateway(name, start=False, sync_interval_s=SYNC_S)
    target = {"selector": f"site={name}"}
    await fleet.submit({"name": "ahead", "targets": target, "steps": [step]})
    gateway.link.reset_after_bytes = cut
    before = gateway.link.stats.total_bytes
    connections = gateway.link.stats.connections
    await gateway.start()
    file = whole(gateway, digest)

    async def here() -> bool | None:
        return True if file.exists() else None

    await until("the file to come", here)
    wire = gateway.link.stats.total_bytes - before
    return {
        "wire_bytes": wire,
        "ratio": round(wire / size, 4),
        "connections": gateway.link.stats.connections - connections,
        "resets": gateway.link.stats.resets,
    }
