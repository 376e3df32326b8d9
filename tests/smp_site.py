"""The simulated sensor node on a real port, behind a real bus and the agent's driver."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from agent.buses.factory import open_bus
from agent.core.device import DeviceSettings
from agent.core.ports import Bus, BusSettings
from agent.drivers.smp.driver import SmpDriver
from firmware_sim.bootloader import Bootloader
from firmware_sim.device import Device
from firmware_sim.ledger import Ledger
from firmware_sim.models import find_model
from firmware_sim.smp.node import Medium, Node
from firmware_sim.smp.os_group import Buffers
from firmware_sim.smp.ports import serve_console, serve_udp
from shared.ids import DeviceId
from shared.model.profile import Profile, parse_profile
from tests.smp_parts import KEY, loader

PROFILE = f"""
profile = 1
name = "soil-node"
kind = "soil"
protocol = "smp"
[[point]]
name = "moisture"
at = {{ stat = "sensors", field = "p1_vwc" }}
scale = 0.001
[[point]]
name = "temperature"
at = {{ stat = "sensors", field = "p1_temp", type = "int16" }}
scale = 0.1
unit = "Cel"
[[point]]
name = "self_check"
at = {{ stat = "node", field = "self_check" }}
[[point]]
name = "boots"
at = {{ stat = "node", field = "boots", type = "uint32" }}
kind = "counter"
[firmware]
key = "{KEY.public_key().public_bytes_raw().hex()}"
class = "soil-node"
boot_s = 10
self_check_s = 5
soak_s = 0
[[health]]
point = "self_check"
equals = 1
"""


def profile(text: str = PROFILE) -> Profile:
    return parse_profile(text, source="soil-node.toml")


@dataclass
class Site:
    """A node, its bus and the driver under test."""

    node: Node
    bus: Bus
    driver: SmpDriver
    settings: DeviceSettings
    plugged: AsyncExitStack
    folder: Path
    number: int
    """Of its UDP port; 0: it has a console."""

    async def unplug(self) -> None:
        """Pull the cable; the node stays on."""
        await self.plugged.aclose()

    async def plug(self) -> None:
        """Put it back where it was."""
        await _plug(self.plugged, self.node, self.folder, self.number)


async def _plug(stack: AsyncExitStack, node: Node, folder: Path, number: int = 0) -> int:
    """Serve a node on its kind of port; return the number of a UDP port."""
    if node.medium is Medium.UDP:
        port = await stack.enter_async_context(serve_udp(node, port=number))
        return port.address.port
    await stack.enter_async_context(serve_console(node, folder / "console"))
    return 0


@asynccontextmanager
async def site_on(
    kind: str,
    folder: Path,
    *,
    boot: Bootloader | None = None,
    buffers: Buffers | None = None,
    faults: tuple[str, ...] = (),
    ledger: Ledger | None = None,
    timeout_ms: int = 2_000,
    text: str = PROFILE,
) -> AsyncIterator[Site]:
    """Serve a node on a port of a kind, `udp` or `serial`, and attach it."""
    node = Node(
        boot or loader(sectors=16),
        Device(find_model("soil")),
        medium=Medium(kind),
        buffers=buffers or Buffers(),
        faults=faults,
        ledger=ledger,
    )
    async with AsyncExitStack() as plugged:
        number = await _plug(plugged, node, folder)
        place = f"udp://127.0.0.1:{number}" if number else f"serial://{folder}/console?baud=115200"
        bus = open_bus(BusSettings(name="b", url=place, response_timeout_ms=timeout_ms, retries=0))
        settings = DeviceSettings(id=DeviceId("soil-1"), bus="b", address=0, profile=profile(text))
        driver = SmpDriver(settings.id, bus, unit=0, profile=settings.profile)
        try:
            yield Site(node, bus, driver, settings, plugged, folder, number)
        finally:
            await bus.close()
