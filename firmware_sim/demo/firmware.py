"""The demo's chapter of firmware: two sensor nodes, a good image and one that fails its self-check.

Owns the nodes and what is expected of them. What they ran is read from their own ledgers. Nothing
of theirs is polled, so that the account of readings is the one of the other devices.
"""

import asyncio
import json
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from firmware_sim.commands.image import factory_key
from firmware_sim.demo import processes
from firmware_sim.demo.admin import Admin
from firmware_sim.demo.layout import profile_text
from firmware_sim.demo.show import Narrator
from firmware_sim.mcuboot import Version, make_image

SITE = "west"
_NEW = Version(2)
_BODY = bytes(range(256)) * 32
_STEP_S = 60
_GOOD, _BAD = "node-1", "node-2"
_WORDS = {_GOOD: b"", _BAD: b"outstation-sim: self-check=fails\n"}
_EXPECTED = {
    _GOOD: ("SUCCEEDED", "", [("none", "1.0.0"), ("test", "2.0.0")]),
    _BAD: (
        *("FAILED", "firmware_reverted"),
        [("none", "1.0.0"), ("test", "2.0.0"), ("revert", "1.0.0")],
    ),
}
"""How each one's execution ends, why, and what each of its starts did and ran."""


@dataclass(frozen=True, slots=True)
class Node:
    """One node's ledger."""

    id: str
    ledger: Path

    def boots(self) -> list[tuple[str, str]]:
        """Return what each of its starts did, and which version ran then; none: a dead device."""
        rows = map(json.loads, self.ledger.read_text().splitlines())
        return [(one["swap"], one.get("version", "")) for one in rows if one.get("event") == "boot"]


async def start_nodes(folder: Path, config: Path, stack: AsyncExitStack) -> list[Node]:
    """Start the nodes of a site and write them into its gateway's configuration."""
    key = factory_key().public_key().public_bytes_raw().hex()
    (folder / "node.toml").write_text(profile_text("node").replace("KEY", key))
    nodes = [Node(name, folder / f"{name}.ledger") for name in _EXPECTED]
    for node in nodes:
        where = ("--udp", "127.0.0.1:0", "--ledger", str(node.ledger))
        argv = processes.command("firmware_sim", "device", "sensor-node", *where)
        child = await processes.start(f"device-{node.id}", argv, folder)
        stack.push_async_callback(child.stop)
        url = f"udp://{child.ready.split()[-1]}"
        lines = ["[[bus]]", f'name = "bus-{node.id}"', f'url = "{url}"']
        lines += ["[[device]]", f'id = "{node.id}"', f'bus = "bus-{node.id}"']
        lines += ["address = 0", 'profile = "node.toml"']
        with config.open("a") as file:
            file.write("\n".join([*lines, ""]))
    return nodes


async def update(admin: Admin, access: Path, nodes: list[Node], narrator: Narrator) -> bool:
    """Update both nodes, each to its own image; tell whether each did what it had to."""
    folder = access.parent.parent
    told = await asyncio.gather(*(_updated(admin, access, folder, node) for node in nodes))
    good = True
    for node, execution in zip(nodes, told, strict=True):
        state, reason, boots = _EXPECTED[node.id]
        (task,) = execution["tasks"]
        found = (execution["state"], task["reason"] or "", node.boots())
        held = found == (state, reason, boots)
        went = " -> ".join(version or "DEAD" for _, version in found[2])
        words = "failed its self-check and went back by itself" if reason else "proved itself"
        narrator.verdict(f"{node.id}: {went}: the new image {words}", held)
        good = good and held
    return good


async def _updated(admin: Admin, access: Path, folder: Path, node: Node) -> dict[str, Any]:
    """Hand a node's image in and have it installed; return the execution."""
    body = f"firmware {_NEW}\n".encode() + _WORDS[node.id] + b"\0" + _BODY
    image = folder / f"{node.id}.signed.bin"
    image.write_bytes(make_image(body, _NEW, factory_key()))
    cli = ("coordinator.cli", "--config", str(access), "artifacts", "push", str(image), "--json")
    pushed = json.loads(await processes.run(processes.command(*cli)))
    params = {"artifact": pushed["artifact"], "size": image.stat().st_size, "version": str(_NEW)}
    action = {"id": "flash", "action": "device.update_firmware", "timeout_s": _STEP_S}
    job = await admin.submit(
        {
            "name": f"update-{node.id}",
            "targets": {"selector": f"site={SITE}", "device_selector": f"id={node.id}"},
            "steps": [{**action, "params": params}],
        }
    )
    (execution,) = await admin.finished(job)
    return dict(await admin.get(f"/v1/executions/{execution['id']}"))
