"""A sensor node on virtual time, behind a bus in memory: for updates that are cut anywhere."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

from agent.actions.hand import Hand
from agent.actions.update_firmware import UpdateFirmwareAction
from agent.core.device import DeviceSettings
from agent.core.firmware import FirmwareSource
from agent.core.loan import Owner
from agent.core.ports import BusCounters, BusSettings, FrameDecoder, StepOutcome, Urgency
from agent.core.queue import Problem
from agent.core.talk import Talk
from agent.drivers.smp.driver import SmpDriver
from firmware_sim.bootloader import Bootloader, Layout, Slot
from firmware_sim.clock import SimTime
from firmware_sim.device import Device
from firmware_sim.flash import SECTOR_BYTES, Flash
from firmware_sim.mcuboot import check_image, read_image
from firmware_sim.models import find_model
from firmware_sim.smp.node import Medium, Node
from shared.errors import Reason, WorldError
from shared.ids import DeviceId
from shared.model.job import Step
from tests.agent_parts import uid
from tests.simulation.loop import World
from tests.smp_parts import KEY, image
from tests.smp_site import PROFILE, profile

T = TypeVar("T")
ANSWER_S = 0.01


class NodeBus:
    """A bus that hands datagrams to a node; what it does not answer is silence for a second."""

    def __init__(self, node: Node) -> None:
        self.settings = BusSettings(name="b", url="udp://node:1337")
        self.counters = BusCounters()
        self.node = node
        self.cut_after: int | None = None
        """The gateway loses its supply after this many more requests."""
        self.board_cut_after: int | None = None
        """The board alone loses its supply, for as long as a start takes."""

    async def exchange(self, request: bytes, decoder: FrameDecoder[T], *, urgency: Urgency) -> T:
        for left in reversed(range(3 if decoder.repeatable else 1)):
            try:
                return await self._attempt(request, decoder)
            except WorldError:
                if not left:
                    raise
                decoder.reset()
        raise AssertionError("the last attempt returns or raises")

    async def _attempt(self, request: bytes, decoder: FrameDecoder[T]) -> T:
        frames: Sequence[bytes] = [request]
        while frames:
            heard = False
            more: list[bytes] = list(decoder.following()) if isinstance(decoder, Talk) else []
            for frame in [*frames, *more]:
                answer = await self._carry(frame)
                if answer is None:
                    continue
                heard = True
                found = decoder.feed(answer)
                if found is not None:
                    return found
            frames = list(decoder.following()) if heard and isinstance(decoder, Talk) else []
        await asyncio.sleep(1)
        raise WorldError(Reason.DEVICE_SILENT, "no answer within 1000 ms")

    async def _carry(self, frame: bytes) -> bytes | None:
        if self.cut_after is not None:
            self.cut_after -= 1
            if self.cut_after < 0:
                raise asyncio.CancelledError
        await asyncio.sleep(ANSWER_S)
        if self.board_cut_after is not None:
            self.board_cut_after -= 1
            if self.board_cut_after < 0:
                self.board_cut_after = None
                self.node.board.lose_power(self.node.time.ticks.mono_ms())
        exchange = self.node.hear(frame)
        answer = None if exchange is None else self.node.finish(exchange)
        return None if answer is None else answer.packet

    async def close(self) -> None:
        """Nothing to release."""


@dataclass
class Folder:
    """A shelf that is a folder."""

    path: Path

    def given(self, digest: bytes, size: int) -> int:
        return 0

    async def obtain(self, digest: bytes, size: int) -> Path:
        found = self.path / digest.hex()
        if not found.exists() or found.stat().st_size != size:
            raise WorldError(Reason.ARTIFACT_NOT_HERE, "it has not come yet")
        return found

    def put(self, data: bytes) -> dict[str, Any]:
        digest = sha256(data).digest()
        (self.path / digest.hex()).write_bytes(data)
        return {"artifact": f"sha256:{digest.hex()}", "size": len(data)}


@dataclass
class Kept:
    """What is remembered of a device, through any end of the gateway's process."""

    configs: dict[str, dict[str, Any]] = field(default_factory=dict)
    releases: dict[tuple[int, str], int] = field(default_factory=dict)

    async def keep_config(self, owner: Owner, device: DeviceId, names: Any, values: Any) -> None:
        for name in names:
            self.configs.setdefault(name, dict(values))

    async def config(self, device: DeviceId, name: str) -> dict[str, Any] | None:
        return self.configs.get(name)

    async def release(self, device: DeviceId, number: int, device_class: str) -> int | None:
        return self.releases.get((number, device_class))

    async def keep_release(
        self, device: DeviceId, number: int, device_class: str, release: int
    ) -> None:
        self.releases[number, device_class] = release


class Bench:
    """A node and whoever updates it; the gateway may begin anew, the node keeps its flash."""

    def __init__(self, world: World, folder: Path, *, first: bytes | None = None, **options: Any):
        layout = Layout(slot_bytes=8 * SECTOR_BYTES)
        self.loader = Bootloader(Flash(layout.flash_bytes), layout, KEY.public_key(), **options)
        self.loader.write(Slot.PRIMARY, 0, image() if first is None else first)
        self.node = Node(
            self.loader,
            Device(find_model("soil")),
            medium=Medium.UDP,
            time=SimTime(world.clock),
        )
        self.bus = NodeBus(self.node)
        self.shelf = Folder(folder)
        self.memory: Any = Kept()
        self.refusal: Problem | None = None
        self.listed: dict[bytes, int] = {}
        """What the catalog counts images as, by what they are called."""

    def hand(self, text: str = PROFILE, **changes: Any) -> Hand:
        """A fresh hold, as after a restart of the gateway."""
        settings = DeviceSettings(id=DeviceId("soil-1"), bus="b", address=0, profile=profile(text))
        source = FirmwareSource(
            self.shelf, lambda *_: self.refusal, lambda name, _: self.listed.get(name)
        )
        return Hand(
            driver=SmpDriver(settings.id, self.bus, unit=0, profile=settings.profile),
            settings=settings,
            memory=self.memory,
            owner=Owner(uid(1)),
            may_write=lambda *_: None,
            firmware=source,
            **changes,
        )

    async def update(self, data: bytes, *, text: str = PROFILE, **params: Any) -> StepOutcome:
        wanted = {**self.shelf.put(data), **params}
        step = Step("flash", "device.update_firmware", wanted)
        hand = self.hand(text)
        problem = UpdateFirmwareAction().check(step, hand.settings)
        assert problem is None, problem
        return await UpdateFirmwareAction().run(step, hand)

    def runs(self) -> str:
        """The version that the device runs, or nothing."""
        self.node.advance()
        found = self.loader.image(Slot.PRIMARY)
        return "" if found is None or self.node.board.dead else str(found.version)

    def assert_bootable(self) -> None:
        """After any number of cuts there is an image that the bootloader runs."""
        self.node.board.lose_power(self.node.time.ticks.mono_ms())
        done = self.loader.boot()
        assert done.image is not None, "bricked"
        check_image(read_image(self.loader.content(Slot.PRIMARY, 30_000)), KEY.public_key())
