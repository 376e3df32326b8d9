"""One seed, one world, from its founding to the judgement.

Owns the order: found, enrol, let things happen, stop them from happening, wait for rest, judge.
Leaves out what can happen (`events`) and what must hold (`checks`).
"""

import asyncio
import logging
import shutil
import tempfile
from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from coordinator.services.claims import ClaimWish, create_claim
from shared.clock import WallMs
from tests.simulation.loop import World, simulate
from tests.simulation.world.centre import Centre, GoneError
from tests.simulation.world.checks import Rest
from tests.simulation.world.disk import Disks
from tests.simulation.world.ground import HOUR_S, Ground
from tests.simulation.world.site import Site, machines

_MEMORY = Path("/dev/shm")
"""No sync costs anything here; what a sync promises is tests/power's matter."""
REST_S = 24 * HOUR_S
"""Once nothing goes wrong any more, everything has settled within this time."""
FAR_MS = WallMs(4_000_000_000_000)


@dataclass(frozen=True)
class Verdict:
    """What became of one world."""

    seed: int
    digest: str
    """Two runs of one seed have it in common."""
    findings: tuple[str, ...]
    hits: Counter[str]
    transitions: Counter[str]
    virtual_s: float
    readings: int
    effects: int


class Play:
    """One world while it is played."""

    def __init__(self, ground: Ground) -> None:
        self.ground, self.disks = ground, Disks()
        self.centre = Centre(ground, self.disks)
        self.sites: list[Site] = []
        self.chance = ground.chance("play")

    async def run(self) -> None:
        """Play it to the judgement."""
        with self.disks.in_force(), machines():
            await self._begin()
            await self._happen()
            await self._heal()
            await self._settle()
            await self._end()
            for finding in self._rest().findings():
                self.ground.wrong(finding)

    async def _begin(self) -> None:
        await self.centre.found()
        self.centre.start()
        while self.centre.parts is None:
            await asyncio.sleep(1)
        self.sites = [Site(self.ground, self.disks, "north", self.centre)]
        parts = self.centre.parts
        wish = ClaimWish(site="hill", count=len(self.sites), expires_ms=FAR_MS, url="")
        assert parts is not None
        claim = await create_claim(
            parts.store,
            parts.documents.now.fleet,
            "",
            wish,
            actor="test",
            clock=self.centre.clock,
            entropy=self.ground.entropy("claim"),
        )
        for site in self.sites:
            await site.enrol(bytes.fromhex(claim.secret))
            site.start()

    async def _happen(self) -> None:
        for site in self.sites:
            site.line.misfortune = 0.3
        for _ in range(6):
            await asyncio.sleep(self.chance.uniform(0, 2 * HOUR_S))
            site = self.chance.choice(self.sites)
            if self.chance.random() < 0.5:
                self.ground.hit("kill agent")
                site.kill()
            else:
                site.die_at(self.chance.randint(1, 8), before=self.chance.random() < 0.5)

    async def _heal(self) -> None:
        """Let nothing go wrong from now on."""
        for site in self.sites:
            site.line.misfortune, site.line.state = 0.0, ""
            for late in site.line.late:
                late.cancel()
        for lives in (self.centre, *self.sites):
            for disk in self.disks.mounted.values():
                disk.failing, disk.dies_in = "", 0
            await lives.wait_up()

    async def _settle(self) -> None:
        """Wait until there is nothing left to say or to do."""
        until_s = self.ground.now_s + REST_S
        while self.ground.now_s < until_s:
            await asyncio.sleep(0.5 * HOUR_S)
            if self._quiet():
                return
        self.ground.wrong(f"not everything has settled after {REST_S // HOUR_S} hours")

    def _quiet(self) -> bool:
        return all(site.quiet for site in self.sites)

    async def _end(self) -> None:
        for site in self.sites:
            await site.stop()
        await self.centre.stop()
        for lives in (*self.sites, self.centre):
            await lives.bury()

    def _rest(self) -> Rest:
        return Rest(self.centre.place.database, self.sites)


def play(seed: int) -> Verdict:
    """Play the world of a seed and return the verdict."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    folder = Path(tempfile.mkdtemp(prefix="world-", dir=_MEMORY if _MEMORY.is_dir() else None))
    try:
        return simulate(partial(_play, folder=folder), seed=seed)
    finally:
        logging.disable(before)
        shutil.rmtree(folder, ignore_errors=True)


async def _play(world: World, *, folder: Path) -> Verdict:
    ground = Ground(world, folder)
    stage = Play(ground)
    try:
        await stage.run()
    except GoneError as error:
        ground.wrong(f"the play itself went wrong: {error!r}")
    return Verdict(
        seed=world.seed,
        digest=world.digest,
        findings=tuple(ground.wrongs),
        hits=ground.hits,
        transitions=ground.transitions,
        virtual_s=ground.now_s,
        readings=sum(len(site.recorded) for site in stage.sites),
        effects=sum(len(site.plant.ledger.written) for site in stage.sites),
    )
