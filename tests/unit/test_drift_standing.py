"""Drift that schedules found while nobody listened: told of its device, since it was seen."""

from functools import partial

from coordinator.transactions.devices import view_device
from coordinator.transactions.receipts import reconcile_receipts
from coordinator.transactions.standing import WantedStanding, list_standing
from shared.clock import WallMs
from shared.model.job import ExecutionState, TaskState
from shared.wire.messages import Receipt
from tests.stores import ask
from tests.unit.test_coordinator_transactions import AGENT, NOW, store
from tests.unit.test_drift import BAD, CHECK, GOOD, PUT_BACK, Fleet, fleet

__all__ = ["fleet", "store"]
MINUTE = 60_000


def firings(number: int, execution: bytes, first: int, last: int, result, device="inv") -> Receipt:
    """Return what is told of firings at these minutes; of all devices where `device` is empty."""
    return Receipt(
        number,
        execution,
        "",
        ExecutionState.SUCCEEDED,
        0,
        0,
        NOW + last * MINUTE + 5,
        result={**result, "device": device} if device else {},
        firing_ms=NOW + first * MINUTE,
        last_ms=NOW + last * MINUTE,
        count=last - first + 1,
    )


async def contact(fleet: Fleet, *receipts: Receipt, at: int) -> None:
    body = partial(
        reconcile_receipts, AGENT, b"J" * 16, list(receipts), now_ms=WallMs(NOW + at), oldest=1
    )
    await fleet.store.run(body, durable=False)


async def test_a_drift_seen_without_a_link_is_told_since_it_was_seen(fleet):
    _, execution = await fleet.job(CHECK)
    later = firings(1, execution, 4, 6, BAD)
    before = firings(2, execution, 1, 3, GOOD)
    whole = firings(3, execution, 1, 6, {}, device="")
    await contact(fleet, later, before, whole, at=9 * MINUTE)
    (view,) = await fleet.known(missed=True)
    assert (view.device, view.missed) == ("inv", {"level": 7})
    assert view.since.timestamp() * 1000 == NOW + 4 * MINUTE
    assert view.observed_at.timestamp() * 1000 == NOW + 6 * MINUTE + 5
    kinds = await ask(fleet.store, "SELECT type FROM event ORDER BY number")
    assert [kind for (kind,) in kinds if "drift" in kind] == ["config.drifted", "drift.began"]


async def test_a_drift_that_began_and_ended_without_a_link_is_told_as_both(fleet):
    _, execution = await fleet.job(CHECK)
    found = [firings(1, execution, 5, 8, GOOD), firings(2, execution, 2, 4, BAD)]
    await contact(fleet, *found, at=9 * MINUTE)
    (view,) = await fleet.known()
    assert (view.missed, view.mended_by) == ({}, "")
    assert view.mended_at.timestamp() * 1000 == NOW + 5 * MINUTE, "the first that found it so"
    assert await fleet.events() == ["drift.began", "drift.ended"]


async def test_the_job_that_wrote_is_named_though_the_same_contact_tells_of_both(fleet):
    _, execution = await fleet.job(CHECK)
    await contact(fleet, firings(1, execution, 1, 1, BAD), at=2 * MINUTE)
    put, putting = await fleet.job(PUT_BACK, name="put")
    written = Receipt(3, putting, "inv", TaskState.DONE, 1, 0, NOW + 3 * MINUTE)
    await contact(fleet, firings(2, execution, 4, 4, GOOD), written, at=5 * MINUTE)
    (view,) = await fleet.known()
    assert view.mended_by.replace("-", "") == put.hex()


async def test_what_devices_say_they_are_is_kept_from_schedules_too(fleet):
    _, execution = await fleet.job({"id": "ask", "action": "device.sync"})
    said = {"ask._profile_hash": "0011", "ask._identity": True, "ask._firmware": "1.2"}
    drifted = {**said, "ask._drifted": 1, "ask._drift": "firmware"}
    await contact(fleet, firings(1, execution, 1, 1, drifted), at=2 * MINUTE)
    view = await fleet.store.read(partial(view_device, AGENT, "inv"))
    assert view is not None
    assert (view.firmware, view.drift) == ("1.2", ["firmware"])
    (wish,) = await fleet.known(missed=True)
    assert wish.wish == "identity"


async def test_what_is_told_of_devices_is_not_counted_as_firings(fleet):
    job = {"schedule": {"interval_s": 60}}
    _, execution = await fleet.job(CHECK, **job)
    told = [firings(1, execution, 1, 6, {}, device=""), firings(2, execution, 1, 6, GOOD)]
    await contact(fleet, *told, at=9 * MINUTE)
    wanted = partial(list_standing, WantedStanding(), before=b"\xff" * 16, size=9)
    (row,) = (await fleet.store.read(partial(wanted, now_ms=WallMs(NOW))))[0]
    assert row.firings == 6
