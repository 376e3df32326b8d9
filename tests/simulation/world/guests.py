"""A gateway that is not here to stay: it joins, is copied by a thief, and is shown the door.

What TRUST promises of a stolen key is judged here, as it happens: the copy gives itself away,
nobody gets work while it is not known which of the two is real, the readings of both are kept, and
whoever was let out is believed nothing more, while its site is read on.
"""

import asyncio
import random
import shutil
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

from shared.errors import RefusedError, WorldError
from shared.ids import AgentId
from tests.simulation.world.checks import readings_of, values_of
from tests.simulation.world.life import GoneError
from tests.simulation.world.scene import Scene
from tests.simulation.world.site import SYNC_S, Site

T = TypeVar("T")

_KNOWN = "SELECT 1 FROM agent WHERE agent_id = $1"
_QUARANTINED = "SELECT 1 FROM agent WHERE agent_id = $1 AND quarantined_ms IS NOT NULL"
_LEFT = "SELECT 1 FROM agent WHERE agent_id = $1 AND left_ms IS NOT NULL"
_BELIEVED = (
    "SELECT (SELECT count(*) FROM block WHERE agent_id = $1),"
    " (SELECT count(*) FROM block_aside WHERE agent_id = $1),"
    " (SELECT count(*) FROM receipt WHERE agent_id = $1)"
)
_AGAIN_S = 60
_NOTICED_S = 4 * 3600
"""Two machines that both make their contacts give themselves away long before."""
_WAITS_S = 2000
"""Longer than two contacts are apart."""


async def guest(scene: Scene, chance: random.Random) -> None:
    """A gateway joins, works, is copied, and goes; one of the two ways to go."""
    one = Site(scene.ground, scene.sites[0].disks, f"guest-{len(scene.guests)}", scene.centre)
    scene.guests.append(one)
    await join(scene, one)
    one.start()
    scene.ground.hit("join", one.name)
    await asyncio.sleep(_WAITS_S)
    await scene.people.submit(one.agent)
    if not await scene.look(_KNOWN, one.agent):
        await one.stop()  # a coordinator that was put back has never heard of it
        return
    if chance.random() < 0.8:
        await _is_copied(scene, one)
    if chance.random() < 0.4:
        one.kill()
        await one.wait_up()
    if chance.random() < 0.8:
        await _is_let_out(scene, one, scene.people.revoke)
    else:
        await _is_let_out(scene, one, scene.people.decommission)
    await one.stop()


async def _is_copied(scene: Scene, one: Site) -> None:
    """A thief copies its card, and starts the copy elsewhere, on devices of his own."""
    put_back = scene.restored
    await one.stop()
    twin = Site(scene.ground, one.disks, f"twin-of-{one.name}", scene.centre)
    scene.guests.append(twin)
    twin.be(one)
    shutil.copytree(one.folder / "data", twin.folder / "data")
    scene.ground.hit("clone", one.name)
    scene.centre.walk.put_back.add(one.agent)
    one.start()
    twin.start()
    until_s = scene.ground.now_s + _NOTICED_S
    while not await scene.look(_QUARANTINED, one.agent):
        await asyncio.sleep(_AGAIN_S)
        if scene.restored is not put_back:
            break
        if scene.ground.now_s > until_s:
            scene.ground.wrong(f"nobody noticed that there are two of {one.name}")
            break
    else:
        await _gets_no_work(scene, (one, twin))
    told_s = scene.ground.now_s
    await asyncio.sleep(3 * SYNC_S)
    until_s = scene.ground.now_s + _NOTICED_S
    while not (one.quiet and twin.quiet) and scene.ground.now_s < until_s:
        # What nobody was there to take in is on their disks.
        await asyncio.sleep(_AGAIN_S)
    await twin.stop()
    await scene.people.release(one.agent)
    await asyncio.sleep(_WAITS_S)
    if scene.restored is put_back and not scene.centre.ruined:
        _both_are_kept(scene, (one, twin), told_s)


async def _gets_no_work(scene: Scene, both: tuple[Site, Site]) -> None:
    """Nobody is given anything to do before a person said which of the two is the agent."""
    put_back, asked = scene.restored, await scene.people.submit(both[0].agent, plain=True)
    await asyncio.sleep(_WAITS_S)
    values = set(values_of(asked.spec.every_step, once=False))
    done = {value for one in both for _, value in one.plant.effects()} & values
    if done and scene.restored is put_back:
        scene.ground.wrong(f"{both[0].name} was given work while there were two of it: {done}")


def _both_are_kept(scene: Scene, both: tuple[Site, Site], until_s: float) -> None:
    """What either of the two recorded is there, as often as it was recorded."""
    kept: Counter[tuple[str, int]] = Counter()
    for table in ("block", "block_aside"):
        kept.update(readings_of(scene.centre.place.database, both[0].agent, table=table))
    said = Counter(
        reading
        for one in both
        for reading, recorded_s in one.recorded.items()
        if recorded_s < until_s
    )
    if missing := said - kept:
        scene.ground.wrong(f"of two with one key {sum(missing.values())} readings are lost")


async def _is_let_out(scene: Scene, one: Site, ask: Callable[[AgentId], Awaitable[None]]) -> None:
    """It is revoked, or asked to leave: from then on nothing of it is believed."""
    put_back = scene.restored
    await ask(one.agent)
    if ask == scene.people.decommission:
        await asyncio.sleep(_WAITS_S)
        until_s = scene.ground.now_s + _NOTICED_S
        while not await scene.look(_LEFT, one.agent):
            # It delivers what it has, and that takes a line and somebody at the other end.
            if scene.restored is not put_back or scene.ground.now_s > until_s:
                return
            await asyncio.sleep(_AGAIN_S)
    before = await scene.look(_BELIEVED, one.agent)
    await asyncio.sleep(_WAITS_S)
    after = await scene.look(_BELIEVED, one.agent)
    if scene.restored is not put_back:
        return
    if after != before:
        scene.ground.wrong(f"{one.name} was believed after it was let out: {before} {after}")
    if one.up and one.plant.ledger.polled_s < scene.ground.now_s - 3 * one.poll_s:
        scene.ground.wrong(f"{one.name} is not read any more since it was let out")


async def join(scene: Scene, one: Site) -> None:
    """Let a box in, once more where its claim was lost with a database that was put back."""
    while True:
        put_back = scene.restored
        secret = await _insist(scene.centre.claim)
        try:
            return await _insist(partial(one.enrol, secret))
        except RefusedError:
            if scene.restored is put_back:
                raise


async def _insist(do: Callable[[], Awaitable[T]]) -> T:
    """Do it until it is done, and heard of."""
    while True:
        try:
            return await do()
        except (GoneError, WorldError):
            await asyncio.sleep(_AGAIN_S)
