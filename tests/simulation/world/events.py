"""What programs, lines, devices, clocks and disks do: each kind of fault as a small story.

A story begins at a moment that the seed chose, lasts a while, and puts right what it broke, so
that any number of them may overlap. Each counts itself when it strikes. Leaves out what people do
(`courier`, `people`), and how often each story is told (`stories`).
"""

import asyncio
import contextlib
import random
import shutil
from collections.abc import Callable
from pathlib import Path

from agent.services.identity import KEY_NAME, NEXT_KEY_NAME
from shared.clock import ClockState
from tests.simulation.world.life import Lives
from tests.simulation.world.scene import Scene
from tests.simulation.world.site import Site

_WEATHER = ("partition", "one way up", "one way down", "black hole")
_STOPS_S = 40
"""A service manager waits no longer for what it told to stop (docs/deploy)."""
_STEP_S = 0.12
"""A step takes less, from the commit that begins it."""
_COMMIT_S = 10
"""What is recorded while a commit is made waits for the next one."""
_DEVICE_FAULTS = (
    "silence:p=0.5",
    "lost-reply:p=0.5",
    "garbage:p=0.3",
    "exception:p=0.5",
    "slow=900",
)


async def kill(scene: Scene, chance: random.Random) -> None:
    """Somebody is killed, and comes back."""
    victim = chance.choice([scene.centre, *scene.sites])
    if victim.up:
        scene.ground.hit("kill centre" if victim is scene.centre else "kill agent")
        victim.kill()


async def die_at_commit(scene: Scene, chance: random.Random) -> None:
    """Somebody dies right before or right after one of the next commits."""
    victim = chance.choice(scene.lives)
    victim.die_at(chance.randint(1, 12), before=chance.random() < 0.5)
    await asyncio.sleep(3600)


async def die_with_job(scene: Scene, chance: random.Random) -> None:
    """An agent dies in the middle of a job that it just got."""
    site = chance.choice(scene.sites)
    await scene.people.submit(site.agent)
    site.walk.began.clear()
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(site.walk.began.wait(), 3000)
    await asyncio.sleep(chance.uniform(0, _STEP_S))
    if chance.random() < 0.5:
        site.die_at(chance.randint(1, 4), before=chance.random() < 0.5)
    elif site.up:
        scene.ground.hit("kill agent")
        site.kill()


async def stop_and_start(scene: Scene, chance: random.Random) -> None:
    """Somebody is stopped in an orderly way for a while."""
    victim = chance.choice(scene.lives)
    if not victim.up:
        return
    scene.ground.hit("stop")
    await stop(victim)
    await asyncio.sleep(chance.choice([1, 60, 3000]))
    if victim.now is None:
        victim.start()


async def bad_line(scene: Scene, chance: random.Random) -> None:
    """Messages are lost, late, doubled, altered for a while."""
    site = chance.choice(scene.sites)
    before, site.line.misfortune = site.line.misfortune, chance.uniform(0.3, 0.9)
    await asyncio.sleep(chance.uniform(1800, 7200))
    site.line.misfortune = before


async def weather(scene: Scene, chance: random.Random) -> None:
    """Nothing, or only one way, gets through for a while; the site must not notice."""
    site = chance.choice(scene.sites)
    site.line.state = chance.choice(_WEATHER)
    begun_s = scene.ground.now_s
    lives, polls = site.lives, site.plant.ledger.polls
    disturbed = site.disturbed
    await asyncio.sleep(chance.uniform(1200, 10_000))
    site.line.state = ""
    calm = site.up and lives == site.lives and disturbed == site.disturbed and not site.off
    if calm and not site.sick:
        expected = (scene.ground.now_s - begun_s) / site.poll_s
        if site.plant.ledger.polls - polls < 0.8 * expected - 2:
            scene.ground.wrong(f"{site.name} stopped to read while its line was down")


async def sick_device(scene: Scene, chance: random.Random) -> None:
    """Devices do not hear, do not answer, or talk nonsense for a while."""
    site = chance.choice(scene.sites)
    site.sick += 1
    site.disturbed += 1
    site.plant.station.add_faults(fault := chance.choice(_DEVICE_FAULTS))
    polls = site.plant.ledger.polls
    await asyncio.sleep(chance.uniform(600, 5400))
    site.plant.station.clear_faults()
    if fault.startswith("slow"):  # an answer that comes late is in the ledger as any other
        for _ in range(site.plant.ledger.polls - polls):
            scene.ground.hit("device slow", site.name)
    await asyncio.sleep(3600)  # a device that was silent is asked rarely for a while
    site.sick -= 1


async def clock_step(scene: Scene, chance: random.Random) -> None:
    """Somebody's clock is set wrong, and right again later."""
    victim = chance.choice([*scene.sites, scene.centre])
    scene.ground.hit("clock step", victim.name)
    most = 120_000 if victim is scene.centre else 86_400_000 * 40
    victim.clock.step(chance.randint(-most, most))
    await asyncio.sleep(chance.uniform(600, 7200))
    victim.clock.synchronise()


async def drift(scene: Scene, chance: random.Random) -> None:
    """A clock runs fast or slow, with nobody to tell."""
    site = chance.choice(scene.sites)
    scene.ground.hit("clock drift", site.name)
    site.clock.state = ClockState.UNSYNCED
    site.clock.drift(chance.uniform(-500, 500))
    await asyncio.sleep(chance.uniform(3600, 20_000))
    site.clock.synchronise()


async def reboot(scene: Scene, chance: random.Random) -> None:
    """A machine loses its power: what was in memory is gone, perhaps the time as well."""
    site = chance.choice(scene.sites)
    if not site.up:
        return
    keeps_time = chance.random() < 0.4
    scene.ground.hit("power cut", site.name)
    if not keeps_time:
        scene.ground.hit("boot in 1970", site.name)
    site.took.append((site.saved_s - _COMMIT_S, scene.ground.now_s))
    site.off = True
    site.kill()
    shutil.rmtree(site.folder / "run")
    (site.folder / "run").mkdir(mode=0o700)
    site.clock.reboot(keeps_time=keeps_time)
    await asyncio.sleep(chance.uniform(1, 600))
    if site.now is None:
        site.start()
    await asyncio.sleep(chance.uniform(600, 3600))
    site.clock.synchronise()


async def disk(scene: Scene, chance: random.Random) -> None:
    """A disk is full, or fails, for a while."""
    victim = chance.choice(scene.lives)
    if victim.now is None:
        return
    process = victim.now
    files = ["", "coordinator.db"] if victim is scene.centre else ["", "telemetry.db", "jobs.db"]
    process.disk.only, process.disk.failing = chance.choice(files), chance.choice(["full", "eio"])
    await asyncio.sleep(chance.uniform(60, 5000))
    if victim is scene.centre and chance.random() < 0.5 and victim.now is process:
        scene.ground.hit("kill centre")
        victim.kill()  # in the middle of it: what it told until then must be there
    process.disk.failing = ""


async def damage(scene: Scene, chance: random.Random) -> None:
    """A database of an agent is damaged while it is off."""
    site = scene.unlucky
    if not site.up:
        return
    name = chance.choice(["telemetry.db", "jobs.db"])
    await _while_off(site, lambda: _scribble(scene, site, site.folder / "data" / name, chance))


async def lose_jobs(scene: Scene, chance: random.Random) -> None:
    """jobs.db is gone, the counters beside it are not."""
    site = scene.unlucky
    if not site.up:
        return

    def lose() -> None:
        scene.ground.hit("lost jobs.db", site.name)
        site.forgot_jobs = True
        scene.upset(site)
        site.walk.forget()
        for path in (site.folder / "data").glob("jobs.db*"):
            path.unlink()

    await _while_off(site, lose)


async def reflash(scene: Scene, chance: random.Random) -> None:
    """The card is put back as it was some time ago."""
    site = scene.unlucky
    if not site.up:
        return
    image = site.ground.folder / f"{site.name}-image"
    if image.exists():
        return

    taken_s, scribbled = 0.0, False

    def copy() -> None:
        nonlocal taken_s, scribbled
        taken_s, scribbled = scene.ground.now_s, site.scribbled
        shutil.copytree(site.folder / "data", image)

    await _while_off(site, copy)
    await asyncio.sleep(chance.uniform(1200, 10_000))
    if site.now is None:
        shutil.rmtree(image)
        return

    def put_back() -> None:
        if _has_another_key(site.folder / "data", image):
            # Its old key lets nobody in any more, as it must be: a person enrols it anew.
            return
        scene.ground.hit("reflashed card", site.name)
        site.was_restored = site.forgot_jobs = True
        scene.upset(site)
        site.took.append((0.0, scene.ground.now_s))
        site.put_back.append((scene.ground.now_s, taken_s))
        site.put_back_store(scribbled=scribbled)
        scene.centre.walk.put_back.add(site.agent)
        site.walk.forget()
        shutil.rmtree(site.folder / "data")
        shutil.copytree(image, site.folder / "data")
        shutil.rmtree(site.folder / "run")
        (site.folder / "run").mkdir(mode=0o700)

    await _while_off(site, put_back)
    shutil.rmtree(image)


async def ask(scene: Scene, chance: random.Random) -> None:
    """Somebody wants something done."""
    some = chance.sample(scene.sites, chance.randint(1, len(scene.sites)))
    await scene.people.submit(*(site.agent for site in some))


async def change_of_mind(scene: Scene, chance: random.Random) -> None:
    """Somebody wants something done, and then does not."""
    site = chance.choice(scene.sites)
    asked = await scene.people.submit(site.agent)
    await asyncio.sleep(chance.choice([0, 1, 60, 950, 2000]))
    if asked.job:
        await scene.people.cancel(asked)


async def rekey(scene: Scene, chance: random.Random) -> None:
    """An agent is asked for another key."""
    site = chance.choice(scene.sites)
    if scene.backup is not None and site in scene.rekeyed:
        # Only the newest change of a key is proved to a coordinator that forgot it.
        return
    if scene.backup is not None:
        scene.rekeyed.append(site)
    await scene.people.rekey(site.agent)


async def stop(victim: Lives) -> None:
    """Stop somebody as a service manager does: who takes too long is killed, and that is wrong."""

    def lose_patience() -> None:
        victim.ground.wrong(f"{victim.name} was told to stop, and went on")
        victim.kill()

    patience = victim.ground.loop.call_later(_STOPS_S, lose_patience)
    await victim.stop()
    patience.cancel()


async def _while_off(site: Site, change: Callable[[], None]) -> None:
    """Stop an agent, change something in its folder, start it."""
    await stop(site)
    if site.now is not None:
        return
    change()
    await asyncio.sleep(2)
    if site.now is None:
        site.start()


def _has_another_key(data: Path, image: Path) -> bool:
    changing = (data / NEXT_KEY_NAME).exists() or (image / NEXT_KEY_NAME).exists()
    return changing or (data / KEY_NAME).read_bytes() != (image / KEY_NAME).read_bytes()


def _scribble(scene: Scene, site: Site, path: Path, chance: random.Random) -> None:
    size = path.stat().st_size if path.exists() else 0
    if not size:
        return
    scene.ground.hit(f"damaged {path.name}", site.name)
    site.was_restored = True
    scene.upset(site)
    if path.name == "telemetry.db":
        site.took.append((0.0, scene.ground.now_s))
        site.scribbled = True
    if path.name == "jobs.db":
        site.forgot_jobs = True
        site.walk.forget()
    with path.open("r+b") as file:
        for _ in range(chance.choice([1, 4, 40])):
            file.seek(chance.randrange(size))
            file.write(chance.randbytes(chance.choice([1, 16, 512])))
