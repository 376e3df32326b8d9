"""Sticks, and the courier who carries them: forgetful, in a hurry, and not good with addresses.

A stick is filled by the very agent or coordinator that runs, travels for as long as it takes, and
is taken in by the other one. Owns what becomes of it on the way, and the judgement of each import:
a whole stick at the right place leaves nothing behind, one at the wrong place changes nothing.
"""

import asyncio
import contextlib
import random
from dataclasses import dataclass
from enum import StrEnum

from agent.services.carrier import Exported, Imported
from coordinator.api.context import Parts
from shared.errors import MistakeError, RefusedError, WorldError
from shared.sync.stick import StickDecoder, StickHeader
from tests.simulation.loop import START_WALL_MS
from tests.simulation.world.life import GoneError
from tests.simulation.world.scene import Scene
from tests.simulation.world.site import Site

_ROOM = 1 << 20
_AGAIN_S = 120
_TRIES = 40
_CLOCK_S = 150
"""By so much the coordinator's clock may be wrong."""
_KEY = "SELECT public_key FROM agent WHERE agent_id = $1"
_ASIDE = "SELECT count(*) FROM block_aside WHERE agent_id = $1"
_HEARD = "SELECT 1 FROM contact WHERE agent_id = $1 AND last_ms > $2"


class Way(StrEnum):
    """Where a stick goes."""

    UP = "up"
    DOWN = "down"


FATES = ("stick lost", "stick twice", "stick astray", "stick cut", "stick altered")
"""What may befall a stick; late ones are those that were lost and turn up."""


@dataclass(frozen=True)
class Stick:
    """A stick on its way."""

    way: Way
    site: Site
    """The one that it comes from or is for."""
    data: bytes
    blocks: int = 0
    """On the way up: how many are on it."""
    key: bytes = b""
    """The agent's key when it was written, as the one who wrote it knew it."""
    written_s: float = 0.0
    heard: bool = True
    """On the way down: the coordinator had heard of the agent since one of them was put back."""


async def sticks(scene: Scene, chance: random.Random) -> None:
    """Somebody drives between a site and the desk for a while; the line may be down meanwhile."""
    site = chance.choice(scene.sites)
    bag: list[Stick] = []
    island = chance.random() < 0.5
    if island:
        site.line.state = "partition"
    for _ in range(chance.randint(2, 4)):
        if island:
            await scene.people.submit(site.agent, plain=chance.random() < 0.7)
        for fill in (_fill_at_site, _fill_at_desk):
            with contextlib.suppress(GoneError, WorldError):
                await _travel(scene, chance, await fill(scene, site), bag)
    if island:
        site.line.state = ""


async def _travel(scene: Scene, chance: random.Random, stick: Stick, bag: list[Stick]) -> None:
    fate = chance.choice(("", "", "", *FATES))
    await asyncio.sleep(chance.uniform(300, 2400))
    if fate:
        scene.ground.hit(fate, stick.way)
    if fate == "stick lost":
        bag.append(stick)
    elif fate == "stick astray":
        await _bring_astray(scene, chance, stick)
        bag.append(stick)
    elif fate == "stick cut":
        await _bring(scene, stick, stick.data[: chance.randrange(len(stick.data))])
    elif fate == "stick altered":
        at = chance.randrange(len(stick.data))
        flipped = bytes([stick.data[at] ^ 1 << chance.randrange(8)])
        await _bring(scene, stick, stick.data[:at] + flipped + stick.data[at + 1 :])
    else:
        await _bring(scene, stick)
        if fate == "stick twice":
            await _bring(scene, stick)
    if bag and chance.random() < 0.6:
        scene.ground.hit("stick late")
        await _bring(scene, bag.pop(chance.randrange(len(bag))))


# --- filling ------------------------------------------------------------------------------------
async def _fill_at_site(scene: Scene, site: Site) -> Stick:
    process, program = site.now, site.program
    carrier = program.carrier if program is not None else None
    if process is None or process.dead or carrier is None:
        raise GoneError

    async def fill() -> list[tuple[bytes, Exported]]:
        return [piece async for piece in carrier.export(_ROOM)]

    pieces = await process.carry_out(fill(), "export")
    scene.ground.hit("stick up", site.name)
    data = b"".join(piece for piece, _ in pieces)
    return Stick(
        Way.UP, site, data, pieces[-1][1].blocks, site.public_key, written_s=scene.ground.now_s
    )


async def _fill_at_desk(scene: Scene, site: Site) -> Stick:
    filled = await scene.centre.ask(lambda parts: parts.carrier.fill(site.agent, actor="user:zoe"))
    scene.ground.hit("stick down", site.name)
    ((known,),) = await scene.look(_KEY, site.agent)
    upset_s = scene.upset_s.get(site.name, -1) + _CLOCK_S
    heard = bool(await scene.look(_HEARD, site.agent, START_WALL_MS + int(upset_s * 1000)))
    return Stick(Way.DOWN, site, filled.data, key=known, written_s=scene.ground.now_s, heard=heard)


# --- taking in ----------------------------------------------------------------------------------
async def _bring(scene: Scene, stick: Stick, data: bytes | None = None) -> None:
    """Bring a stick to its place, whole or as `data`; whoever is down is waited for."""
    whole = data is None
    for _ in range(_TRIES):
        try:
            if stick.way is Way.UP:
                blocks = await _take_at_desk(scene, stick.data if data is None else data)
                if whole and not await _is_excused(scene, stick):
                    await _all_is_kept(scene, stick, blocks)
            else:
                told = await _take_at_site(stick.site, stick.data if data is None else data)
                if whole and told.refused and not await _is_excused(scene, stick):
                    scene.ground.wrong(f"of a whole stick was refused: {told.refused}")
                if told.bundles:
                    scene.ground.hit("stick brought work", stick.site.name)
        except (GoneError, WorldError):
            await asyncio.sleep(_AGAIN_S)
            continue
        except (RefusedError, MistakeError) as error:
            scene.ground.note("stick refused", str(error))
            if whole and not await _is_excused(scene, stick):
                scene.ground.wrong(f"a whole stick {stick.way} was refused: {error}")
        return


async def _all_is_kept(scene: Scene, stick: Stick, taken: int) -> None:
    """Every block is stored, or aside: a card that was put back uses numbers a second time."""
    ((aside,),) = await scene.look(_ASIDE, stick.site.agent)
    if not stick.blocks - aside <= taken <= stick.blocks:
        scene.ground.wrong(f"{taken} of {stick.blocks} blocks of a stick were taken")


async def _is_excused(scene: Scene, stick: Stick) -> bool:
    """Tell whether one of the two has another key or another memory than when it was written.

    While a change of key is under way, each of them goes by another one.
    """
    site, upset_s = stick.site, scene.upset_s.get(stick.site.name, -1)
    ((known,),) = await scene.look(_KEY, site.agent)
    is_sealed = known == site.public_key == stick.key
    return not is_sealed or upset_s >= stick.written_s or not stick.heard


async def _take_at_desk(scene: Scene, data: bytes) -> int:
    """Return how many blocks were stored, now or before."""
    blocks = 0
    for header, sealed in _parcels(data):

        async def take(parts: Parts, header: StickHeader = header, sealed: bytes = sealed) -> int:
            brought = await parts.carrier.take(header, sealed)
            return brought.taken.stored.blocks + brought.taken.stored.duplicates

        blocks += await scene.centre.ask(take)
    return blocks


async def _take_at_site(site: Site, data: bytes) -> Imported:
    told = Imported()
    for header, sealed in _parcels(data):
        process, program = site.now, site.program
        carrier = program.carrier if program is not None else None
        if process is None or process.dead or carrier is None:
            raise GoneError
        told = await process.carry_out(carrier.take(header, sealed, told), "import")
    return told


def _parcels(data: bytes) -> list[tuple[StickHeader, bytes]]:
    decoder = StickDecoder()
    sealed = decoder.feed(data)
    return [(decoder.header, one) for one in sealed if decoder.header is not None]


async def _bring_astray(scene: Scene, chance: random.Random, stick: Stick) -> None:
    """Bring a stick where it does not belong: nothing may come of it."""
    others = [site for site in scene.sites if site is not stick.site or stick.way is Way.UP]
    try:
        if stick.way is Way.DOWN and (not others or chance.random() < 0.5):
            await _take_at_desk(scene, stick.data)
        else:
            await _take_at_site(chance.choice(others), stick.data)
    except (GoneError, WorldError):
        return
    except (RefusedError, MistakeError):
        return
    scene.ground.wrong(f"a stick {stick.way} was taken in where it does not belong")
