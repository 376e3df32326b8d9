"""Sites of sensor nodes whose firmware a fleet updates: real gateways, simulated boards on UDP.

Owns the boards, which stand in the test's own process so that it can break, mend and look into
them, and the gateways' files. What becomes of them is a test.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from firmware_sim.address import Address
from firmware_sim.bootloader import Slot
from firmware_sim.clock import SimTime
from firmware_sim.demo.layout import Site
from firmware_sim.device import Device
from firmware_sim.flash import FlashTiming
from firmware_sim.ledger import Ledger
from firmware_sim.link import LinkProxy
from firmware_sim.models import find_model
from firmware_sim.smp.node import Medium, Node
from firmware_sim.smp.ports import UdpPort
from tests.smp_parts import loader
from tests.smp_site import PROFILE
from tests.system import warm
from tests.system.fleet import Fleet
from tests.system.fleet_parts import Gateway

HEALTHY = '[[health]]\npoint = "moisture"\nmin = 0.05\nmax = 1.0\n'
"""A new image has to find its sensor, too."""
CLASS = "soil-node"


@dataclass
class Board:
    """One sensor node at its address; `replace` is what somebody does who drives there."""

    id: str
    node: Node
    port: UdpPort
    lines: list[bytes]

    @property
    def version(self) -> str:
        """What it runs; nothing if it is dead."""
        self.node.advance()
        found = self.node.board.loader.image(Slot.PRIMARY)
        return "" if found is None or self.node.board.dead else str(found.version)

    @property
    def offsets(self) -> list[int]:
        """Where the pieces of images began that it was sent."""
        rows = map(json.loads, self.lines)
        return [row["off"] for row in rows if row.get("smp") == [1, 1] and row["op"] == 2]

    def boots(self) -> list[str]:
        """What each of its starts did."""
        rows = map(json.loads, self.lines)
        return [str(row["swap"]) for row in rows if row.get("event") == "boot"]

    def hold(self, percent: float) -> None:
        """Hold its first probe at a moisture."""
        self.node.sensors.set_value("p1_vwc", percent, 0)

    async def replace(self) -> None:
        """Put a new board in its place."""
        address = self.port.address
        await self.port.close()
        self.node, self.port, self.lines = await _standing(address.port)


@dataclass
class FirmwareSite:
    """A gateway and its boards."""

    gateway: Gateway
    boards: list[Board] = field(default_factory=list)

    def versions(self) -> list[str]:
        """What its boards run."""
        return [board.version for board in self.boards]


async def _standing(
    port: int = 0, *, timing: FlashTiming | None = None
) -> tuple[Node, UdpPort, Any]:
    lines: list[bytes] = []
    ledger = Ledger(lines.append, SimTime().ticks)
    boot = loader(sectors=8)
    boot.flash.timing = timing or FlashTiming()
    node = Node(boot, Device(find_model("soil")), medium=Medium.UDP, ledger=ledger)
    served = UdpPort(node)
    await served.open(Address("127.0.0.1", port))
    return node, served, lines


async def add_site(
    fleet: Fleet, name: str, count: int, *, timing: FlashTiming | None = None
) -> FirmwareSite:
    """Start a gateway with so many boards, each on a port of its own."""
    folder = fleet.folder / name
    folder.mkdir()
    target = Address("127.0.0.1", fleet.coordinator.port)
    link = await fleet.stack.enter_async_context(LinkProxy(target=target))
    boards = []
    for number in range(count):
        board = Board(f"soil-{number + 1}", *await _standing(timing=timing))
        fleet.stack.push_async_callback(_close, board)
        boards.append(board)
    config = _write_config(folder, boards)
    gateway = Gateway(Site(name, (), hostile=False), folder, link, config, [], {})
    fleet.stack.push_async_callback(fleet._end_agent, gateway)
    fleet.gateways[name] = gateway
    await gateway.enrol(await fleet.claim(folder / "claim.json", site=name))
    await gateway.start()
    return FirmwareSite(gateway, boards)


async def _close(board: Board) -> None:
    await board.port.close()


def _write_config(folder: Path, boards: Sequence[Board]) -> Path:
    # A board that is lost is known to be so after `boot_s`: a test waits for it.
    text = PROFILE.replace("boot_s = 10", "boot_s = 6") + HEALTHY
    (folder / "soil.toml").write_text(text)
    lines = ["[agent]", f'data_dir = "{folder / "data"}"', f'runtime_dir = "{folder / "run"}"']
    lines += ["[uplink]", "sync_interval_s = 1", "long_poll = true"]
    lines += ["[sharing]", "allow = false"]
    for board in boards:
        lines += ["[[bus]]", f'name = "{board.id}"']
        lines += [f'url = "udp://127.0.0.1:{board.port.address.port}"']
        lines += ["[[device]]", f'id = "{board.id}"', f'bus = "{board.id}"', "address = 0"]
        lines += ['profile = "soil.toml"', "poll_interval_s = 2"]
    path = folder / "agent.toml"
    path.write_text("\n".join([*lines, ""]))
    return path


async def pushed(fleet: Fleet, name: str, data: bytes) -> dict[str, Any]:
    """Hand an image in from the admin's disk; return the parameters that name it."""
    file = fleet.folder / f"{name}.signed.bin"
    file.write_bytes(data)
    done = await fleet.outstation("artifacts", "push", str(file), "--json")
    assert done.status == 0, done
    return {"artifact": json.loads(done.out)["artifact"], "size": len(data)}


async def listed(fleet: Fleet, *images: tuple[dict[str, Any], str]) -> None:
    """Publish a catalog that allows these images, each for its class of devices, and no other."""
    where = ("--data", str(fleet.coordinator.data))
    shown = await warm.outcome(fleet.coordinator.command("catalog", "show", *where))
    text = shown.out
    for number, (image, device_class) in enumerate(images, 1):
        digest = image["artifact"].removeprefix("sha256:")
        text += f'\n[[firmware]]\nid = "image-{number}"\nsha256 = "{digest}"\n'
        text += f'size = {image["size"]}\nclass = "{device_class}"\nrelease = {number}\n'
    file = fleet.coordinator.data / "catalog.toml"
    file.write_text(text)
    await warm.run(fleet.coordinator.command("catalog", "publish", *where, str(file)))


def update_job(image: dict[str, Any], *sites: str, **more: Any) -> dict[str, Any]:
    """A job that updates all boards of these sites."""
    params = {**image, **more.pop("params", {})}
    step = {"id": "flash", "action": "device.update_firmware", "params": params, "timeout_s": 60}
    where = {"selector": f"site in ({','.join(sites)})"}
    return {"name": "update", "targets": where, "steps": [step], **more}


def told(execution: dict[str, Any]) -> dict[str, tuple[str, str | None]]:
    """State and reason of each board, by its id."""
    return {task["device"]: (task["state"], task["reason"]) for task in execution["tasks"]}
