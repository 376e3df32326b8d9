"""Bytes on the wire for a file that a gateway fetches, beside the file's own size.

Both programs are real, and the link between them is cut whenever a connection has carried so many
bytes in both directions together: TLS handshakes, headers, what was lost on its way and the
gateway's contacts are all in the figure. The comparison is the same link without cuts.
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
    return {"size": size, "cut_bytes": cut, **cut_off, "whole": whole}


async def fetched(fleet: Fleet, name: str, size: int, cut: int | None) -> dict[str, Any]:
    """Let a new gateway fetch a new file."""
    file = fleet.folder / f"{name}.bin"
    data = Random(name).randbytes(size)
    file.write_bytes(data)
    pushed = await fleet.outstation("artifacts", "push", str(file))
    assert pushed.status == 0, pushed
    gateway = await fleet.add_gateway(name, start=False, sync_interval_s=SYNC_S)
    artifact = artifact_text(sha256(data).digest())
    params = {"artifact": artifact, "size": size}
    step = {"id": "get", "action": "agent.fetch", "params": params, "timeout_s": 600}
    target = {"selector": f"site={name}"}
    await fleet.submit({"name": "ahead", "targets": target, "steps": [step]})
    gateway.link.reset_after_bytes = cut
    before = gateway.link.stats.total_bytes
    connections = gateway.link.stats.connections
    await gateway.start()
    file = gateway.data / "artifacts" / sha256(data).hexdigest()

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
