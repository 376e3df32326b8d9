"""Devices that one agent makes up take bounded room and time: others' contacts wait for them."""

from functools import partial

import pytest

from coordinator.core.ports import fetch
from coordinator.transactions.happenings import devices_told
from coordinator.transactions.jobs import NEWEST, Wanted, list_executions, view_execution
from coordinator.transactions.receipts import reconcile_receipts
from shared import limits
from shared.model.job import TaskState
from shared.wire.messages import Receipt
from tests.stores import ask
from tests.unit.test_coordinator_transactions import AGENT, NOW, issued, store, submitted
from tests.unit.test_triggers import look, occasions, on, saved

__all__ = ["store"]


async def at_work(store):
    """Hand a job out; return its execution."""
    await submitted(store)
    return (await issued(store, NOW)).grants[-1].execution


async def told(store, execution, *devices, first=1):
    facts = [
        Receipt(number, execution, device, TaskState.DONE, 1, 0, NOW)
        for number, device in enumerate(devices, first)
    ]
    body = partial(reconcile_receipts, AGENT, b"J" * 16, facts, now_ms=NOW)
    await store.run(body, durable=True)


async def tasks(store, execution):
    return [row[0] for row in await store.read(partial(fetch, "task_known", AGENT, execution))]


@pytest.mark.parametrize("devices", ["abcd", "dcba", "bdac"])
async def test_of_more_devices_than_an_execution_may_touch_the_same_stay(
    store, monkeypatch, devices
):
    monkeypatch.setattr(limits, "TASKS_PER_EXECUTION", 2)
    execution = await at_work(store)
    await told(store, execution, *devices[:2])
    await told(store, execution, *devices[2:], first=3)
    assert await tasks(store, execution) == ["a", "b"]
    await told(store, execution, *devices)
    assert await tasks(store, execution) == ["a", "b"]


async def test_devices_of_an_agent_are_remembered_up_to_a_bound(store, monkeypatch):
    monkeypatch.setattr(limits, "DEVICES_SEEN", 2)
    await saved(store, **on("device.discovered"))
    for devices in (["a"], ["a", "b", "c"], ["c", "d"]):
        await store.run(partial(devices_told, AGENT, devices, NOW), durable=True)
    assert await ask(store, "SELECT device FROM device_seen ORDER BY device") == [("a",), ("b",)]
    await look(store)
    assert len(await occasions(store)) == 2


@pytest.mark.parametrize(("most", "shown"), [(3, [1, 2, 3]), (2, [2, 3])])
async def test_the_end_of_a_long_history_is_shown_and_that_there_is_more(
    store, monkeypatch, most, shown
):
    monkeypatch.setattr(limits, "FACTS_SHOWN", most)
    execution = await at_work(store)
    await told(store, execution, "a", "b", "c")
    view = await store.read(partial(view_execution, execution))
    assert [one.number for one in view.history] == shown
    assert view.has_earlier is (most < 3)


async def test_executions_of_many_tasks_come_on_more_pages(store, monkeypatch):
    monkeypatch.setattr(limits, "TASKS_LISTED", 1)
    first, second = [await at_work(store) for _ in range(2)]
    assert first != second
    await told(store, first, "a")
    await told(store, second, "a", first=2)
    page = partial(list_executions, Wanted(agent=AGENT), size=9)
    newest, more = await store.read(partial(page, before=NEWEST))
    assert (len(newest), more) == (1, True)
    rest, more = await store.read(partial(page, before=max(first, second)))
    assert (len(rest), more) == (1, False)
