"""SMP ports that are looked at and pulled out: echo, a cable out in mid-frame, an answer of no."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent.buses.factory import open_bus
from agent.core.ports import BusSettings
from agent.core.sampler import PollGroup
from agent.core.status import DeviceStatus
from agent.drivers.smp.driver import SmpDriver
from agent.services.bus_tasks import BusTask
from agent.services.smp_look import who_echoes
from agent.services.status import _devices
from firmware_sim.bootloader import Slot
from firmware_sim.device import Device
from firmware_sim.models import find_model
from firmware_sim.smp.console import Decoder
from firmware_sim.smp.node import Medium, Node
from firmware_sim.smp.packet import Malformed
from shared.clock import MonoMs
from shared.errors import WorldError
from shared.ids import DeviceId
from shared.runtime.clock import SystemClock
from tests.contract.patience import PATIENT_MS, given_up, heard_out
from tests.contract.wires import PtyWire
from tests.smp_parts import image, lines_of, loader
from tests.smp_site import profile, site_on

KINDS = ["udp", "serial"]
NEW = image("2.0.0", size=12_000)


# --- echo -----------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", KINDS)
async def test_who_echoes_is_seen_with_what_it_runs(kind: str, tmp_path: Path):
    async with site_on(kind, tmp_path) as site:
        found = await who_echoes(site.bus)
        assert found is not None
        assert (found.way, found.place, found.firmware) == ("smp", "b/0", "1.0.0")
        assert found.model == await site.driver.client.info("i") != ""


@pytest.mark.parametrize("fault", ["silence", "exception=8", "garbage"])
async def test_who_does_not_echo_is_asked_once_and_not_seen(fault: str, tmp_path: Path):
    async with site_on("udp", tmp_path, faults=(fault,), timeout_ms=PATIENT_MS) as site:
        asked = asyncio.create_task(who_echoes(site.bus))
        if fault == "silence":
            await given_up(site.bus, asked, when=lambda: site.node.requests)
        elif fault == "garbage":
            await heard_out(site.bus, asked)
        assert await asked is None
        assert site.node.requests == 1


# --- the cable ------------------------------------------------------------------------------------
class Console:
    """A node at the far end of a cable, heard byte by byte."""

    def __init__(self, path: Path) -> None:
        self.wire = PtyWire(path)
        self.node = Node(loader(sectors=16), Device(find_model("soil")), medium=Medium.SERIAL)
        self._decoder = Decoder(self.node.buffers.size)
        self.held: list[int] = []
        """How much of the image it had after each request."""

    async def serve(self, requests: int) -> None:
        """Answer so many requests."""
        while requests:
            for item in self._decoder.feed(await self.wire.heard(1)):
                assert not isinstance(item, Malformed) or self.held, "only a cut frame is none"
                if isinstance(item, Malformed):
                    continue
                requests -= 1
                exchange = self.node.hear(item)
                answer = None if exchange is None else self.node.finish(exchange)
                if answer is not None and answer.packet is not None:
                    self.wire.say(lines_of(answer.packet))
                upload = self.node._images._upload
                self.held.append(upload.offset if upload is not None else 0)


@asynccontextmanager
async def console(folder: Path) -> AsyncIterator[tuple[Console, SmpDriver]]:
    far = Console(folder / "console")
    await far.wire.put_back()
    bus = open_bus(BusSettings(name="b", url=far.wire.url, response_timeout_ms=500, retries=0))
    try:
        yield far, SmpDriver(DeviceId("soil-1"), bus, unit=0, profile=profile())
    finally:
        await bus.close()
        await far.wire.close()


def _shown(driver: SmpDriver) -> DeviceStatus:
    """The device as `outstation-agent status` shows it."""
    group = PollGroup(
        device=driver.device, bus="b", points=("boots",), channels=(0,), interval_ms=1_000
    )
    bus: Any = driver.client._bus
    store: Any = None
    task = BusTask(bus, {driver.device: driver}, [group], telemetry=store, clock=SystemClock())
    (shown,) = _devices(task, MonoMs(0))
    task = BusTask(bus, {driver.device: driver}, [], telemetry=store, clock=SystemClock())
    task.unpolled = {driver.device: 0}
    (unpolled,) = _devices(task, MonoMs(0))
    assert unpolled == msgspec.structs.replace(shown, standing="unpolled"), "seen all the same"
    return shown


@pytest.mark.parametrize("heard", [1, 60, 200])
async def test_a_cable_out_in_the_middle_of_a_frame_costs_that_frame(heard: int, tmp_path: Path):
    async with console(tmp_path) as (far, driver):
        sending = asyncio.create_task(driver.firmware.upload(NEW, image=0, digest=b""))
        await far.serve(4)
        # The device is left with the beginning of a frame.
        list(far._decoder.feed(await far.wire.heard(heard)))
        reached = far.held[-1]
        assert 0 < reached < len(NEW)
        shown = _shown(driver)
        assert 0 < (shown.firmware_bytes or 0) <= reached, "what the device has said"
        assert shown.firmware_size == len(NEW)
        far.wire.pull()
        far.wire._inbox = asyncio.StreamReader()
        await far.wire.put_back()
        serving = asyncio.create_task(far.serve(1_000))
        try:
            await sending
        finally:
            serving.cancel()
        assert min(one for one in far.held[4:] if one) >= reached, "it began anew"
        assert _shown(driver).firmware_bytes is None, "nothing is on its way any more"
        assert far.node.board.loader.content(Slot.SECONDARY, len(NEW)) == NEW


# --- no -------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", KINDS)
async def test_a_no_to_what_is_so_already_is_a_yes(kind: str, tmp_path: Path):
    async with site_on(kind, tmp_path) as site:
        firmware = site.driver.firmware
        await firmware.upload(NEW, image=0, digest=b"")
        digest = (await firmware.slots())[1].digest
        site.node.board.loader.request(permanent=True)
        with pytest.raises(WorldError, match="waits for its test already"):
            await site.driver.client.mark(digest, confirm=False)
        await firmware.test(digest)
        with pytest.raises(WorldError, match="the device says"):
            await firmware.test(b"x" * 32)


async def test_a_no_to_what_is_not_so_stays_one(tmp_path: Path):
    async with site_on("udp", tmp_path) as site:
        running = (await site.driver.firmware.slots())[0].digest
        with pytest.raises(WorldError, match="what runs cannot be tested"):
            await site.driver.firmware.test(running)
