"""Firings of standing jobs among each other, on virtual time: what one may do to another."""

import asyncio
from pathlib import Path

import pytest

from shared.ids import DeviceId
from shared.model.plan import Batch
from shared.model.schedule import Schedule
from tests.simulation.shop import Shop, play
from tests.simulation.test_standing import stand

EVERY_S = 600
EVERY = Schedule(interval_s=EVERY_S)
BOTH = "id in (pump-1,pump-2)"


# --- turns ----------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "batch",
    [Batch(canary=1), Batch(max_parallel=1, tolerate_ppm=100_000)],
    ids=["canary", "tolerate"],
)
def test_a_firing_that_calls_off_its_own_rest_is_told_once(tmp_path: Path, batch: Batch):
    async def scenario(shop: Shop) -> None:
        shop.pumps[DeviceId("pump-1")].silent = True
        await stand(shop, 1, pumps=BOTH, batch=batch, schedule=EVERY)
        await asyncio.sleep(3 * EVERY_S + 100)
        assert [tale[:3] for tale in await shop.tales()] == [("FAILED", "device_silent", 3)]

    play(tmp_path, scenario)
