"""Whatever bit of jobs.db falls over, the agent's queue goes on: with what is left, or anew."""

import asyncio
import logging
import random
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from agent.core.budget import Spent
from agent.store.carried import CarriedStore, Parcel
from agent.store.contact import ContactStore
from agent.store.jobs_file import COUNTERS_NAME, NAME, begin_counters
from agent.store.needed import NeededFiles
from shared.clock import MonoMs, WallMs
from shared.errors import WorldError
from shared.model.job import ExecutionState
from shared.model.plan import Alarm, Rule
from shared.model.schedule import Schedule
from shared.runtime.service import Service
from shared.sync.outgoing import Freed
from shared.sync.ranges import Ranges
from shared.trust.counters import Counters
from shared.trust.floor import TimeKept
from tests.agent_parts import WALL, uid, write_job
from tests.jobs_box import report
from tests.length import AT_LENGTH
from tests.simulation.shop import Shop, play
from tests.simulation.test_standing import stand

EVERY = 13 if AT_LENGTH else 331
KEPT = TimeKept(floor_ms=WallMs(WALL), silent_ms=0, boot_id=b"a" * 16, mono_ms=MonoMs(1))
CALLS, PAUSE_S = 5, 700
NOTHING_LEFT = {"told_to": 0, "silent_ms": 0, "sealed": 0, "ledger_to": 0}


@pytest.fixture
def quiet() -> Iterator[None]:
    """Each play tells of its damage, some hundred times."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(before)


async def work(shop: Shop) -> None:
    """Leave a queue with something of everything: done, told, at work, waiting, standing."""
    await stand(shop, 1, schedule=Schedule(interval_s=600))
    await stand(shop, 2, steps=[], rule=Rule("device.level > 3", alarm=Alarm("it overflows")))
    for level in (4.0, 1.0):
        shop.poll("pump-1", level=level)
        await asyncio.sleep(5)
    for number in range(3, 9):
        await shop.order(number, write_job(5))
        await asyncio.sleep(400)
    contact = ContactStore(shop.file)
    await contact.settle(
        await contact.freeze(report, WallMs(WALL)),
        Freed(Ranges(), (), 6, 0, ()),
        now_ms=WallMs(WALL),
        kept=KEPT,
        echo=b"echo",
        up=1,
        down=1,
        spent=Spent(),
    )
    await shop.order(20, write_job(5))
    await asyncio.sleep(3)


def _envelope(_: Parcel) -> bytes:
    return b"an envelope"


async def go_on(shop: Shop) -> None:
    """Use the queue as the agent does; what the disk is blamed for is tried again later."""
    contact, carried = ContactStore(shop.file), CarriedStore(shop.file)
    for call in range(CALLS):
        for ask in (
            contact.standing,
            contact.load_trust,
            contact.load_time,
            contact.load_approved,
            NeededFiles(shop.file).all,
            shop.jobs.counts,
            shop.memory.due,
            lambda: contact.freeze(report, WallMs(WALL)),
            lambda: carried.leave(_envelope, WallMs(WALL), **NOTHING_LEFT),
            lambda: carried.asked(b"t" * 16),
            contact.heal,
        ):
            with suppress(WorldError):
                await ask()
        start_again(shop)
        shop.executor.wake()
        shop.standing.wake()
        shop.poll("pump-1", level=4.0 if call % 2 else 1.0)
        await asyncio.sleep(PAUSE_S)
    shop.seq = 2**50  # above whatever damage made of the newest bundle
    for number in range(77, 80):
        # What nobody looked at so far is found now.
        with suppress(WorldError):
            await contact.heal()
            start_again(shop)
            await shop.order(number, write_job(5))
            await asyncio.sleep(PAUSE_S)
            if await state_of(shop, uid(number)) == ExecutionState.SUCCEEDED:
                return
    raise AssertionError("it does no work any more")


def start_again(shop: Shop) -> None:
    """Do as the supervisor does with services that a store ended."""
    services: list[Service] = [shop.executor, shop.standing, shop.restorer]
    for place, service in enumerate(services):
        if shop.work[place].done():
            error = shop.work[place].exception()
            if isinstance(error, BaseExceptionGroup):
                _, error = error.split(WorldError)
            if error is not None and not isinstance(error, WorldError):
                raise error
            shop.work[place] = asyncio.create_task(service.run())


async def state_of(shop: Shop, execution: bytes) -> int | None:
    def query(db: sqlite3.Connection) -> int | None:
        found = db.execute("SELECT state FROM execution WHERE id = ?", [execution]).fetchone()
        return None if found is None else int(found[0])

    return await shop.file.read(query)


def broken_by(folder: Path, sound: Path, at: int, bit: int) -> str:
    """Play with one bit the other way; return what went wrong."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    shutil.copy(sound / COUNTERS_NAME, folder)
    content = bytearray((sound / NAME).read_bytes())
    content[at] ^= 1 << bit
    (folder / NAME).write_bytes(content)
    went_on = []

    async def scenario(shop: Shop) -> None:
        await go_on(shop)
        went_on.append(True)

    try:
        play(folder, scenario)
    except WorldError as error:
        # A store that does not work is no hindrance to a stop.
        return "" if went_on else f"bit {bit} of byte {at}: {error!r}"
    except Exception as error:  # noqa: BLE001  # all of them are told together
        return f"bit {bit} of byte {at}: {error!r}"
    return ""


@pytest.mark.timeout(600)  # hundreds of queues played on a busy machine
@pytest.mark.usefixtures("quiet")
def test_whatever_bit_of_the_queue_falls_over_it_goes_on(tmp_path: Path) -> None:
    sound = tmp_path / "sound"
    sound.mkdir()
    begin_counters(sound, Counters(epoch=1, root_version=1))
    play(sound, work)
    content, chance = (sound / NAME).read_bytes(), random.Random(20261123)
    places = [at for at in range(chance.randrange(EVERY), len(content), EVERY) if content[at]]
    assert len(places) > 20
    found = [broken_by(tmp_path / "damaged", sound, at, chance.randrange(8)) for at in places]
    assert not list(filter(None, found))
