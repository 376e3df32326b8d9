"""Triggers on what becomes of devices and disks: each is told once until it changes."""

from functools import partial

from coordinator.transactions.happenings import devices_told, disk_told
from coordinator.transactions.receipts import reconcile_receipts
from shared.clock import WallMs
from shared.errors import Reason
from shared.model.job import TaskState
from shared.wire.messages import Receipt
from tests.unit.test_coordinator_transactions import AGENT, NOW, issued, store
from tests.unit.test_triggers import look, occasions, on, saved

__all__ = ["store"]


async def test_a_job_goes_to_the_very_device_that_the_event_is_about(store):
    document = {**on("device.discovered"), "here": "device", "targets": None}
    await saved(store, **document)
    for _ in range(2):
        await store.run(partial(devices_told, AGENT, ["new", "new"], NOW), durable=True)
    await look(store)
    (found,) = await occasions(store)
    assert (found.outcome, found.agent, found.detail) == ("submitted", AGENT, "new")
    assert len((await issued(store, NOW)).grants) == 1


async def test_a_device_that_falls_silent_is_lost_once_until_it_answers(store):
    await saved(store, **on("device.lost"))

    async def task(number, state, reason=0):
        receipt = Receipt(number, b"e%015d" % number, "m1", state, 1, int(reason), NOW)
        body = partial(reconcile_receipts, AGENT, b"J" * 16, [receipt], now_ms=NOW)
        await store.run(body, durable=True)

    for number in (1, 2):
        await task(number, TaskState.FAILED, Reason.DEVICE_SILENT)
    assert len(await occasions(store)) == 1
    await task(3, TaskState.DONE)
    await task(4, TaskState.FAILED, Reason.DEVICE_SILENT)
    assert len(await occasions(store)) == 2


async def test_drift_that_a_validation_found_is_an_event(store):
    await saved(store, **on("config.drifted"))
    for number, drifted in ((1, 0), (2, 2)):
        receipt = Receipt(
            *(number, b"e" * 16, "m1", TaskState.DONE, 1, 0, NOW),
            result={"check._drifted": drifted},
        )
        body = partial(reconcile_receipts, AGENT, b"J" * 16, [receipt], now_ms=NOW)
        await store.run(body, durable=True)
    assert len(await occasions(store)) == 1


async def test_a_disk_is_told_to_fill_once_a_day_and_only_below_the_mark(store):
    await saved(store, **on("disk.filling", below_mb=500))
    for at_ms, free_mb in ((0, 500), (1, 499), (2, 100), (86_400_000, 100)):
        health = [0, 0, 0, 0, free_mb]
        await store.run(partial(disk_told, AGENT, health, WallMs(NOW + at_ms)), durable=True)
    assert len(await occasions(store)) == 2
