"""A year of schedules and rules with nobody there, then report after report: nothing is lost."""

import asyncio
import sqlite3
from collections import Counter
from pathlib import Path

from agent.store.receipts import receipts_after
from agent.store.standing_rows import flush_tales
from shared import limits
from shared.clock import WallMs
from shared.ids import DeviceId
from shared.model.plan import Alarm, Rule
from shared.model.schedule import Schedule
from shared.runtime.queries import bind, load_queries
from shared.wire.codec import pack
from shared.wire.messages import Receipt
from tests.agent_parts import uid
from tests.simulation.shop import Shop, play
from tests.simulation.test_standing import DAY, PUMP, stand

SQL = load_queries("agent.store", "queries/jobs.sql")


async def report(shop: Shop) -> list[Receipt]:
    """Take one report's receipts as a contact does, and have them acknowledged."""

    def work(db: sqlite3.Connection) -> list[Receipt]:
        waiting = db.execute(SQL["count_receipts"]).fetchone()[0]
        flush_tales(db, limits.RECEIPTS_PER_REPORT - waiting)
        told = receipts_after(db, 0, WallMs(0))
        if told:
            db.execute(SQL["free_receipts"], bind(told[-1].number))
        return told

    return await shop.file.transact(work, durable=True)


def test_a_year_alone_is_told_in_full_newest_first_and_takes_little_room(tmp_path: Path):
    async def scenario(shop: Shop) -> None:
        pump = shop.pumps[DeviceId(PUMP)]
        await stand(shop, 1, schedule=Schedule(cron="30 2 * * *"))
        await stand(shop, 2, schedule=Schedule(interval_s=DAY // 3))
        await stand(shop, 3, schedule=Schedule(cron="0 6 * * MON", jitter_s=600))
        rule = Rule("device.level > 3", alarm=Alarm("it overflows"))
        await stand(shop, 4, steps=[], rule=rule)
        rung = 0
        for week in range(52):
            pump.silent = week % 5 == 4
            shop.poll(PUMP, level=4 if week % 3 == 0 else 1)
            rung += week % 3 == 0
            await asyncio.sleep(7 * DAY)
        tales = await shop.file.read(lambda db: db.execute("SELECT count(*) FROM tale").fetchone())
        firings = await shop.file.read(
            lambda db: dict(db.execute("SELECT execution, firings FROM standing").fetchall())
        )
        pages = await shop.file.read(lambda db: db.execute("PRAGMA page_count").fetchone())
        assert tales[0] < 100, "what ended alike is one piece"
        assert pages[0] * 1024 < 200_000
        told: Counter[int] = Counter()
        reports = []
        while receipts := await report(shop):
            assert len(pack(receipts)) < limits.REPORT_BYTES
            reports.append([one for one in receipts if one.count])
            for one in receipts:
                told[int.from_bytes(one.execution)] += one.count
        assert {number: told[number] for number in (1, 2, 3)} == {
            number: firings[number] for number in (1, 2, 3)
        }
        assert told[1] in {363, 364, 365}
        assert told[4] == rung == shop.rung
        assert len(reports) > 3
        for number in (1, 2):
            times = [
                one.firing_ms for part in reports for one in part if one.execution == uid(number)
            ]
            assert times == sorted(times, reverse=True), "the newest first"

    play(tmp_path, scenario)


def test_an_alarm_that_the_disk_refused_rings_once_there_is_room(tmp_path: Path):
    async def scenario(shop: Shop) -> None:
        await stand(shop, 1, steps=[], rule=Rule("device.level > 3", alarm=Alarm("high")))
        shop.file.full = True
        shop.poll(PUMP, level=4)
        await asyncio.sleep(60)
        assert shop.rung == 0
        shop.file.full = False
        await asyncio.sleep(600)
        assert shop.rung == 1

    play(tmp_path, scenario)
