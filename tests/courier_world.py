"""An agent's stores and a coordinator that meet only through files, for tests of sticks."""

import shutil
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent.core.contact import Identity
from agent.services.calendar import Calendar
from agent.services.carrier import Carrier, Imported
from agent.services.guard import Guard
from agent.sticks import make_carrier
from agent.store.contact import ContactStore
from agent.store.jobs_file import JobsFile, begin_counters
from agent.store.telemetry import TelemetryStore
from coordinator.contract.sticks import STICK_TYPE
from shared.errors import RefusedError
from shared.runtime.clock import SystemEntropy
from shared.sync.stick import StickDecoder
from shared.trust.counters import Counters
from tests.system.coordinator_world import Gateway, World, open_world
from tests.unit.readings_world import HandClock, Plant

ROOM = 1 << 20


@dataclass
class Crossing:
    """One agent, one coordinator, and every stick that was ever written."""

    folder: Path
    stack: AsyncExitStack
    world: World = field(init=False)
    gateway: Gateway = field(init=False)
    plant: Plant = field(init=False)
    telemetry: TelemetryStore = field(init=False)
    carrier: Carrier = field(init=False)
    agent: AsyncExitStack = field(init=False)
    sticks: list[tuple[str, bytes]] = field(default_factory=list)
    jobs: list[str] = field(default_factory=list)
    bundles: int = 0
    receipts: int = 0
    """That sticks told the agent to be known."""

    async def begin(self) -> None:
        self.world = await self.stack.enter_async_context(open_world(self.folder))
        self.gateway = await self.world.gateway("north")
        self.plant = Plant(self.folder / "agent", clock=HandClock(), noisy=True)
        begin_counters(self.plant.data, Counters(epoch=1, root_version=1))
        await self._start()

    async def _start(self) -> None:
        self.agent = await self.stack.enter_async_context(AsyncExitStack())
        self.telemetry = await self.agent.enter_async_context(self.plant.running())
        file = await JobsFile(self.plant.data, SystemEntropy()).open()
        self.agent.push_async_callback(file.close)
        clock, signer = self.plant.clock, self.gateway.signer
        calendar = Calendar(clock)
        root = self.gateway.trust.root
        envelope = self.gateway.trust.root_envelope
        identity = Identity(self.gateway.name, root, envelope, signer, {})
        guard = Guard(identity, ContactStore(file), clock=clock, calendar=calendar)
        self.carrier = make_carrier(
            guard=guard,
            signer=signer,
            file=file,
            telemetry=self.telemetry,
            devices=(),
            clock=clock,
            calendar=calendar,
            ordered=lambda: None,
        )

    async def take_picture(self) -> None:
        """Copy the agent's card."""
        await self._while_off(lambda: shutil.copytree(self.plant.data, self._picture))

    async def put_back(self) -> None:
        """Let the agent go on with the card as it was when the picture was taken."""

        def swap() -> None:
            shutil.rmtree(self.plant.data)
            shutil.copytree(self._picture, self.plant.data)

        await self._while_off(swap)

    @property
    def _picture(self) -> Path:
        return self.folder / "picture"

    async def _while_off(self, change: Callable[[], object]) -> None:
        await self.agent.aclose()
        change()
        await self._start()

    async def poll(self, count: int) -> None:
        await self.plant.record(self.telemetry, count)

    async def fill_up(self, room: int) -> None:
        pieces = [piece async for piece, _ in self.carrier.export(room)]
        self.sticks.append(("up", b"".join(pieces)))

    async def fill_down(self) -> None:
        answered = await self.world.request(
            "POST", "/v1/agents/north/stick", data=b"", headers={"Content-Type": STICK_TYPE}
        )
        assert answered.status == 200, answered
        self.sticks.append(("down", answered.body))

    async def deliver(self, index: int, cut: int) -> None:
        """Bring one of all the sticks there ever were, without its last `cut` bytes."""
        way, data = self.sticks[index % len(self.sticks)]
        decoder = StickDecoder()
        try:
            parcels = decoder.feed(data[: max(0, len(data) - cut)])
        except RefusedError:
            return
        told = Imported()
        for sealed in parcels:
            assert decoder.header is not None
            if way == "up":
                body = decoder.header.encode() + len(sealed).to_bytes(4) + sealed
                answered = await self.world.request(
                    "POST", "/v1/parcels", data=body, headers={"Content-Type": STICK_TYPE}
                )
                assert answered.status == 200, answered
            else:
                told = await self.carrier.take(decoder.header, sealed, told)
        assert told.refused == (), "nothing of it is an offence"
        self.bundles += told.bundles
        self.receipts += told.receipts

    async def job(self) -> None:
        self.jobs.append((await self.world.submit("north"))["id"])

    async def settle(self) -> None:
        """Let the courier be a good one for a while."""
        for _ in range(3):
            await self.fill_up(ROOM)
            await self.deliver(len(self.sticks) - 1, 0)
            await self.fill_down()
            await self.deliver(len(self.sticks) - 1, 0)
        await self.fill_up(ROOM)
        await self.deliver(len(self.sticks) - 1, 0)

    async def check(self) -> None:
        tally = await self.telemetry.tally()
        assert (tally.stored, tally.lost) == (0, 0), "the agent knows that all of it arrived"
        view: dict[str, Any] = await self.world.read("/v1/agents/north")
        assert view["state"] == "ONLINE"
        assert view["balanced"]
        assert view["tally"]["delivered"] == tally.sampled == tally.delivered
        assert (view["missing_blocks"], view["gone_blocks"]) == ([], [])
        assert (view["refused_here"], view["refusals"]) == ({}, {})
        for job in self.jobs:
            shown = await self.world.read(f"/v1/jobs/{job}")
            assert shown["counts"].get("QUEUED", 0) == 0, shown
