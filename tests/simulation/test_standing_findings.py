"""What schedules find out about devices while nobody listens, on virtual time."""

import asyncio
from functools import partial
from pathlib import Path
from typing import Any

from agent.store.standing_rows import flush_tales
from shared.ids import DeviceId
from shared.model.job import Step
from shared.model.schedule import Schedule
from shared.wire.codec import unpack
from shared.wire.messages import Receipt
from tests.simulation.shop import Shop, play
from tests.simulation.test_standing import stand

EVERY_S = 600
CHECK = Step("check", "device.validate", {"setpoint": 100, "speed": 1.5})
BOTH = "id in (pump-1,pump-2)"


async def told(shop: Shop) -> list[Receipt]:
    """Return what a report would take of the history, by its order."""

    def work(db: Any) -> list[Receipt]:
        db.execute("DELETE FROM outbox")
        flush_tales(db, 100)
        rows = db.execute("SELECT body FROM outbox ORDER BY number").fetchall()
        return [unpack(row[0], Receipt, bound=len(row[0])) for row in rows]

    return list(await shop.file.transact(partial(work), durable=False))


def test_a_drift_in_an_outage_is_told_of_its_device_from_when_it_was_seen(tmp_path: Path):
    async def scenario(shop: Shop) -> None:
        await stand(shop, 1, pumps=BOTH, steps=[CHECK], schedule=Schedule(interval_s=EVERY_S))
        await asyncio.sleep(3 * EVERY_S)
        drifting = shop.pumps[DeviceId("pump-2")].values
        drifting["setpoint"] = 90
        await asyncio.sleep(EVERY_S)
        drifting["setpoint"] = 80
        await asyncio.sleep(EVERY_S)
        receipts = await told(shop)
        whole = [one for one in receipts if "device" not in one.result]
        assert [(one.count, one.result) for one in whole] == [(5, {})]
        by_device = {
            name: sorted(
                (one for one in receipts if one.result.get("device") == name),
                key=lambda one: one.firing_ms,
            )
            for name in ("pump-1", "pump-2")
        }
        assert [one.count for one in by_device["pump-1"]] == [5]
        before, since = by_device["pump-2"]
        assert (before.count, before.result["check._drifted"]) == (3, 0)
        assert (since.count, since.result["check._drift"]) == (2, "setpoint")
        assert since.result["check.setpoint"] == 80, "measured values are no other finding"
        assert since.firing_ms == before.firing_ms + 3 * EVERY_S * 1000

    play(tmp_path, scenario)


def test_a_firing_that_only_reads_tells_of_no_device_by_itself(tmp_path: Path):
    look = Step("look", "device.read", {"points": ["flow"]})

    async def scenario(shop: Shop) -> None:
        await stand(shop, 1, pumps=BOTH, steps=[look], schedule=Schedule(interval_s=EVERY_S))
        await asyncio.sleep(3 * EVERY_S)
        assert [(one.count, one.result) for one in await told(shop)] == [(3, {})]

    play(tmp_path, scenario)
