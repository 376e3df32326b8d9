"""The coordinator is put back from a copy: an old one by mistake, or because its file was damaged.

Told once in a world, so that everything since the copy has to be heard of again. A damaged file may
stop the coordinator or be noticed by nobody for hours; whatever it said meanwhile, nothing is lost.
"""

import asyncio
import random

from coordinator.keys.directory import DataDirectory
from coordinator.services.backup import make_backup, restore
from shared.errors import OutstationError, WorldError
from tests.simulation.world.events import stop
from tests.simulation.world.life import GoneError
from tests.simulation.world.scene import Scene

_PAGE = 4_096


async def backup(scene: Scene, chance: random.Random) -> None:
    """The coordinator is copied, and much later put back from that copy."""
    taken_s = await _copied(scene)
    if taken_s is None:
        return
    await asyncio.sleep(chance.uniform(1800, 10_000))
    if scene.centre.up:
        await stop(scene.centre)
        await _put_back(scene, taken_s)


async def ruin(scene: Scene, chance: random.Random) -> None:
    """The coordinator's file is damaged while it is down; it is put back when somebody notices."""
    taken_s = await _copied(scene)
    if taken_s is None:
        return
    await asyncio.sleep(chance.uniform(1800, 6_000))
    if not scene.centre.up:
        return
    centre = scene.centre
    await stop(centre)
    path = centre.place.database
    pages = range(1, path.stat().st_size // _PAGE)
    with path.open("r+b") as file:
        for page in chance.sample(pages, chance.choice([1, 4, 16])):
            file.seek(page * _PAGE)
            file.write(chance.randbytes(_PAGE))
    scene.ground.hit("damaged coordinator.db")
    centre.told.clear()
    centre.ruined = True
    centre.start()
    until_s = scene.ground.now_s + chance.uniform(600, 7_200)
    while centre.up and scene.ground.now_s < until_s:
        await asyncio.sleep(60)
    await stop(centre)
    centre.ruined = False
    await _put_back(scene, taken_s)


async def _copied(scene: Scene) -> float | None:
    """Copy the coordinator, once in a world; return when, None: there is no copy of now."""
    parts, place = scene.centre.parts, scene.centre.place
    if scene.backup is not None or parts is None:
        return None
    scene.backup, taken_s = scene.ground.folder / "backup.db", scene.ground.now_s
    try:
        await make_backup(
            parts.store,
            place.database,
            place.directory,
            scene.backup,
            clock=scene.centre.clock,
            with_keys=False,
        )
    except (OutstationError, GoneError):
        return None
    return taken_s


async def _put_back(scene: Scene, taken_s: float) -> None:
    """Put the coordinator, which was stopped, back from its copy, and start it."""
    scene.ground.hit("restored centre")
    scene.restored = True
    for kept in scene.people.triggers:
        if kept.saved_s > taken_s or not kept.saved_s:
            kept.gone_s = kept.gone_s or scene.ground.now_s
    scene.centre.walk.forget()
    scene.centre.told.clear()
    for site in scene.sites:
        site.was_restored = site.centre_forgot = True
        scene.upset(site)
        if site.put_back:
            # Its numbers stood for other bytes; what was kept aside for that is in no copy.
            site.took.append((0.0, scene.ground.now_s))
    assert scene.backup is not None, "it was copied"
    directory = DataDirectory(scene.centre.folder)
    try:
        await restore(scene.backup, directory, directory.database, scene.centre.clock)
    except WorldError:
        # Its disk fails at the moment: whoever puts it back sees that, and does it once more.
        await asyncio.sleep(5_000)  # as long as a disk fails at most
        await restore(scene.backup, directory, directory.database, scene.centre.clock)
    scene.centre.start()
