"""Machines that boot in 1970, drift, step and reboot: true time arrives for every boot of them."""

import asyncio
import random
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from agent.core.anchor import FAR_MS
from agent.core.ports import PollRow
from shared.block.codec import decode
from shared.model.judging import ROUTINE
from shared.model.reading import Quality, boot_ref
from shared.wire.messages import Anchor
from tests.agent_coordinator import Brain
from tests.simulation.loop import START_WALL_MS, VirtualClock, World, simulate
from tests.simulation.uplink_box import MINUTE, TABLE, Box

DRIFT_PPM = 200
POLL_S = 20


@dataclass
class Site(Box):
    """A box whose coordinator knows the true time, and whose readings are the true time."""

    truth: Brain = field(default_factory=Brain)
    anchors: list[Anchor] = field(default_factory=list)

    async def open(self) -> "Site":
        await super().open()
        # The coordinator outlives the agent's processes, and its clock is right.
        self.brain = self.line.brain = self.truth
        right = World(
            self.world.loop,
            self.world.seed,
            VirtualClock(self.world.loop, self.world.entropy),
            self.world.entropy,
        )
        right.clock.synchronise()
        self.line.world = right
        return self

    async def poll(self, *, priority: int = ROUTINE) -> None:
        (group,) = TABLE.groups
        row = PollRow(
            channels=group.channels,
            at=self.world.clock.now(),
            values=[self.true_ms()] * len(group.channels),
            qualities=[Quality.GOOD] * len(group.channels),
            priority=priority,
        )
        await self.telemetry.record(row)

    async def live(self, seconds: int) -> None:
        for _ in range(seconds // POLL_S):
            await self.poll()
            await asyncio.sleep(POLL_S)

    async def close(self) -> None:
        await super().close()
        self.anchors += [anchor for _, _, report in self.line.calls for anchor in report.anchors]

    def true_ms(self) -> int:
        return int(START_WALL_MS + self.world.loop.time() * 1000)

    def errors_ms(self) -> list[int]:
        """Return by how much each reading is off, beyond its bound, once it is set right."""
        return [
            max(0, abs(self.set_right(block.boot, block.mono_ms + at - block.wall_ms) - true))
            for store in self.truth.stores.values()
            for block in map(decode, store.blocks.values())
            for group in block.groups
            for at, true in zip(group.times_ms, group.columns[0], strict=True)
            if isinstance(true, int)
        ]

    def set_right(self, boot: bytes, mono_ms: int) -> int:
        ours = [anchor for anchor in self.anchors if boot_ref(anchor.boot_id) == boot]
        nearest = min(ours, key=lambda anchor: abs(anchor.mono_ms - mono_ms))
        return nearest.wall_ms + mono_ms - nearest.mono_ms


def site(world: World, folder: Path) -> Site:
    return Site(world, folder, MINUTE)


@pytest.mark.parametrize("seed", range(6))
def test_whatever_clocks_do_every_reading_can_be_set_right(tmp_path: Path, seed: int):
    async def scenario(world: World) -> None:
        chance = random.Random(seed)
        box = site(world, tmp_path)
        for _ in range(4):
            world.clock.reboot(keeps_time=chance.random() < 0.5)
            world.clock.drift(chance.uniform(-DRIFT_PPM, DRIFT_PPM))
            await box.open()
            for _ in range(5):
                await box.live(chance.randrange(60, 600))
                if chance.random() < 0.5:
                    world.clock.step(chance.randrange(-(10**9), 10**9))
                if chance.random() < 0.3:
                    world.clock.synchronise()
            await box.close()
        await box.open()
        await box.live(200)
        await box.close()
        assert len({anchor.boot_id for anchor in box.anchors}) == 4
        errors = box.errors_ms()
        assert len(errors) > 200
        # A block's rows share one clock, which may step by as much before the block is cut.
        assert max(errors) <= FAR_MS + 100

    simulate(scenario, seed=seed)


def test_a_boot_whose_power_failed_before_it_could_tell_its_time_tells_it_later(tmp_path: Path):
    async def scenario(world: World) -> None:
        world.clock.reboot(keeps_time=False)
        first = world.clock.boot_id
        box = await site(world, tmp_path).open()
        await box.poll()
        await asyncio.sleep(1)
        while not await box.telemetry.anchors():
            await asyncio.sleep(0.001)
        box.line.dead = True
        await asyncio.sleep(1)
        await box.close()
        box.anchors.clear()  # it left, and nobody heard it
        world.clock.reboot(keeps_time=False)
        await box.open()
        await asyncio.sleep(100)
        await box.close()
        assert [anchor.boot_id for anchor in box.anchors] == [first, world.clock.boot_id]

    simulate(scenario, seed=4)


def test_a_clock_in_1970_is_told_of_at_once_and_a_right_one_with_the_next_report(tmp_path: Path):
    async def scenario(world: World) -> None:
        for right in (True, False):
            if not right:
                world.clock.reboot(keeps_time=False)
            box = await site(world, tmp_path).open()
            await asyncio.sleep(100)
            await box.close()
            (told,) = (at for at, _, report in box.line.calls if report.anchors)
            first = box.line.calls[0][0]
            assert told - first > 59 if right else told - first < 1

    simulate(scenario, seed=2)
