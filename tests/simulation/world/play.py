"""One seed, one world, from its founding to the judgement.

Owns the order: found, enrol, let things happen, stop them from happening, wait for rest, judge.
Leaves out what can happen (`events`) and what must hold (`checks`).
"""

import asyncio
import contextlib
import logging
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path

from tests.simulation.loop import World, simulate
from tests.simulation.world.centre import Centre
from tests.simulation.world.checks import Rest, unsettled
from tests.simulation.world.disk import Disks
from tests.simulation.world.files import at_rest, rows
from tests.simulation.world.ground import HOUR_S, Ground
from tests.simulation.world.life import GoneError
from tests.simulation.world.once import found_once
from tests.simulation.world.people import People
from tests.simulation.world.rollout_checks import (
    a_firing_works_once,
    stages_come_in_turn,
    what_is_taken_back_is_undone,
)
from tests.simulation.world.scene import Scene
from tests.simulation.world.site import Site, machines
from tests.simulation.world.stories import GRAVE, RARE, STORIES
from tests.simulation.world.trigger_checks import (
    a_firing_has_one_effect,
    no_end_is_overheard,
    no_time_is_left_out,
)
from tests.simulation.world.triggers import let_rest

MEMORY = Path("/dev/shm")
"""No sync costs anything here; what a sync promises is tests/power's matter."""
SPARED = 1 / 4
"""Share of worlds in which nothing is lost that a promise depends on."""
REST_S = 24 * HOUR_S
"""Once nothing goes wrong any more, everything has settled within this time."""
LONGEST_S = 72 * HOUR_S
"""A program that does not come up any more is waited for no longer."""


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

    def __init__(self, ground: Ground, stories: Sequence[str] = ()) -> None:
        self.ground, self.disks, self.stories = ground, Disks(), stories
        self.centre = Centre(ground, self.disks)
        self.sites: list[Site] = []
        self.people = People(ground, self.centre)
        self.chance = ground.chance("play")
        self.ended_s = 0.0
        self.longest_s: float = LONGEST_S
        self.scene: Scene

    async def run(self) -> None:
        """Play it to the judgement."""
        with found_once(), self.disks.in_force(), machines(), self.centre.in_force():
            await self._live_through()
            with at_rest(self.centre.place.database):
                for finding in chain(self._rest().findings(), self._long_work()):
                    self.ground.wrong(finding)

    async def _live_through(self) -> None:
        async with asyncio.timeout(self.longest_s):
            await self._begin()
            await self._happen()
            await self._heal()
            await self._settle()
            await self._end()

    async def _begin(self) -> None:
        await self.centre.found()
        self.centre.start()
        while self.centre.parts is None:
            await asyncio.sleep(1)
        names = ["north", "south"][: self.chance.choice([1, 2, 2])]
        self.sites = [
            Site(self.ground, self.disks, name, self.centre, pumps=self.chance.choice([1, 2]))
            for name in names
        ]
        self.scene = Scene(self.ground, self.centre, self.sites, self.people)
        for site in self.sites:
            await site.enrol(await self.centre.claim())
            site.start()

    async def _happen(self) -> None:
        scene = self.scene
        for site in self.sites:
            site.line.misfortune = self.chance.choice([0.0, 0.1, 0.3])
        chosen = self.stories or self._choose()
        await asyncio.gather(*(self._tell(scene, n, name) for n, name in enumerate(chosen)))

    def _choose(self) -> list[str]:
        spared = GRAVE if self.chance.random() < SPARED else frozenset()
        names = [name for name in STORIES if name not in spared]
        weights = [STORIES[name][0] for name in names]
        chosen = self.chance.choices(names, weights, k=self.chance.randint(8, 14))
        for name in names:
            often, rest = divmod(RARE.get(name, 0.0), 1)
            chosen += [name] * (int(often) + (self.chance.random() < rest))
        return chosen

    async def _tell(self, scene: Scene, number: int, name: str) -> None:
        chance = self.ground.chance("story", number, name)
        await asyncio.sleep(chance.uniform(0, 8 * HOUR_S))
        self.ground.note("story", name)
        with contextlib.suppress(GoneError):
            await STORIES[name][1](scene, chance)

    async def _heal(self) -> None:
        """Let nothing go wrong from now on."""
        for site in self.sites:
            site.line.misfortune, site.line.state = 0.0, ""
            for late in site.line.late:
                late.cancel()
        for lives in (self.centre, *self.sites):
            if lives.now is None and lives.off:
                lives.start()
            await lives.wait_up()
            lives.clock.synchronise()
        await let_rest(self.people)
        for disk in self.disks.mounted.values():
            disk.failing, disk.dies_in = "", 0

    async def _settle(self) -> None:
        """Wait until there is nothing left to say or to do."""
        until_s, left = self.ground.now_s + REST_S, "everything"
        while left and self.ground.now_s < until_s:
            await asyncio.sleep(0.5 * HOUR_S)
            # Whoever was taken for a clone is let in again by somebody who looked; only from then
            # on is it heard, and told what it may do.
            left = self._left() or self._shut_out()
            for site in self.sites:
                await self.people.release(site.agent)
        if left:
            self.ground.wrong(f"after {REST_S // HOUR_S} hours {left} has not settled")

    def _left(self) -> str:
        """Return what has not settled yet; empty: everything has."""
        for site in self.sites:
            if not site.quiet:
                return site.name
            for state in unsettled(self.centre.place.database, site):
                return f"{site.name}'s {state.name} execution"
        return ""

    def _shut_out(self) -> str:
        found = rows(
            self.centre.place.database,
            "SELECT agent_id FROM agent WHERE quarantined_ms IS NOT NULL ORDER BY agent_id",
        )
        names = [site.name for site in self.sites if (site.agent,) in found]
        return " and ".join(f"{name}, which was shut out," for name in names)

    async def _end(self) -> None:
        self.ended_s = self.ground.now_s
        everybody = (*self.sites, *self.scene.guests)
        for site in everybody:
            await site.stop()
        await self.centre.stop()
        for lives in (*everybody, self.centre):
            await lives.bury()

    def _long_work(self) -> Iterator[str]:
        """Yield what is wrong with rollouts and with what ran again and again."""
        centre, people = self.centre.place.database, self.people
        fired = self.centre.walk.fired
        yield from stages_come_in_turn(centre, people.rollouts)
        sound = [site for site in self.sites if not site.forgot_jobs]
        yield from what_is_taken_back_is_undone(centre, people.rollouts, sound)
        for site in self.sites:
            yield from a_firing_works_once(centre, people.standing, site)
            yield from a_firing_has_one_effect(fired, people.triggers, site)
        yield from no_end_is_overheard(centre, people.triggers)
        yield from no_time_is_left_out(fired, people.triggers, self.centre.changes)

    def _rest(self) -> Rest:
        return Rest(
            centre=self.centre.place.database,
            sites=self.sites,
            guests=self.scene.guests,
            asked=self.people.asked,
            standing=[*self.people.standing, *self.people.triggers],
            ended_s=self.ended_s,
        )


def play(seed: int, stories: Sequence[str] = ()) -> Verdict:
    """Play the world of a seed and return the verdict.

    Args:
        seed: everything that is left to chance comes from it.
        stories: what happens in it; empty: the seed chooses.
    """
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    folder = Path(tempfile.mkdtemp(prefix="world-", dir=MEMORY if MEMORY.is_dir() else None))
    try:
        return simulate(partial(_play, folder=folder, stories=stories), seed=seed)
    finally:
        logging.disable(before)
        shutil.rmtree(folder, ignore_errors=True)


async def _play(world: World, *, folder: Path, stories: Sequence[str]) -> Verdict:
    ground = Ground(world, folder)
    stage = Play(ground, stories)
    try:
        await stage.run()
    except (GoneError, TimeoutError) as error:
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
