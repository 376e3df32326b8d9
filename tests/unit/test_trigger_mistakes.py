"""What a trigger says that cannot be: pointed at when it is saved, and no other one's trouble."""

from functools import partial
from typing import Any

import pytest
from msgspec.structs import replace

from coordinator.core.ports import execute
from coordinator.transactions import trigger_firings
from coordinator.transactions.rows import to_json
from coordinator.transactions.submit import draft_body
from coordinator.transactions.triggers import Kept
from shared.errors import MistakeError
from tests.unit.test_coordinator_transactions import NOW, store
from tests.unit.test_triggers import EVERY_MINUTE, MINUTE_MS, look, occasions, on, saved

__all__ = ["store"]
WRITES: dict[str, Any] = {"steps": [{"id": "s", "action": "device.write", "params": {"p": 1}}]}


@pytest.mark.parametrize(
    ("document", "where"),
    [
        ({"name": "Bad Name", **EVERY_MINUTE}, "name"),
        ({}, "schedule"),
        ({**EVERY_MINUTE, **on("agent.online")}, "schedule"),
        ({**EVERY_MINUTE, "job": {"steps": []}}, "template"),
        ({**EVERY_MINUTE, "template": ""}, "template"),
        ({**EVERY_MINUTE, "template": "nothing"}, "template"),
        ({**EVERY_MINUTE, "values": {"x": 1}}, "values.x"),
        ({"schedule": {"cron": "0 2 * *"}}, "schedule.cron"),
        ({"schedule": {"cron": "0 2 * * *", "zone": "site"}}, "schedule.zone"),
        ({"schedule": {"cron": "0 2 * * *", "zone": "Mars/North"}}, "schedule.zone"),
        ({**EVERY_MINUTE, "here": "agent"}, "here"),
        ({**EVERY_MINUTE, "targets": None}, "targets"),
        ({**on("agent.online"), "here": "agent"}, "here"),
        ({**on("agent.online"), "here": "device", "targets": None}, "here"),
        (on("agent.online", of="x"), "event.of"),
        (on("job.failed"), "event.of"),
        (on("disk.filling"), "event.below_mb"),
        (on("agent.online", selector="site in"), "event.selector"),
        (
            {**EVERY_MINUTE, "template": "", "job": {"steps": [{"id": "s", "action": "x"}]}},
            "job.steps[0].action",
        ),
        (
            {
                **EVERY_MINUTE,
                "template": "",
                "job": {"steps": [{**WRITES["steps"][0], "params": {"p": 1 << 64}}]},
            },
            "job.steps[0].params.p",
        ),
    ],
)
async def test_a_trigger_that_cannot_be_meant_is_pointed_at(store, document, where):
    with pytest.raises(MistakeError) as caught:
        await saved(store, **document)
    assert caught.value.where == where


@pytest.mark.parametrize("error", [OverflowError("too wide"), ValueError(), RecursionError()])
async def test_what_one_trigger_cannot_make_stops_no_other(store, monkeypatch, error):
    def drafted(body, *rest):
        if body.name == "bad":
            raise error
        return draft_body(body, *rest)

    monkeypatch.setattr(trigger_firings, "draft_body", drafted)
    for name in ("bad", "good"):
        job = {"name": name, "steps": [{"id": "s", "action": "agent.health"}]}
        await saved(store, name=name, **EVERY_MINUTE, template="", job=job)
    await look(store, NOW + MINUTE_MS)
    (refused,), (made,) = await occasions(store, "bad"), await occasions(store, "good")
    assert (refused.outcome, made.outcome) == ("refused", "submitted")
    assert type(error).__name__ in refused.detail


async def test_what_an_older_coordinator_let_a_trigger_say_is_refused_at_its_time(store):
    view = await saved(store, **EVERY_MINUTE, template="", job=WRITES)
    bad = {**WRITES, "steps": [{**WRITES["steps"][0], "params": {"p": 1 << 64}}]}
    kept = to_json(Kept(replace(view.trigger, name="bad", job=bad), "set"))
    due_ms = NOW + MINUTE_MS
    rest = ("schedule", kept, "anna", "", 0, "", NOW, "anna", due_ms)
    await store.run(partial(execute, "trigger_insert", b"b" * 16, "bad", *rest), durable=True)
    await look(store, due_ms)
    (refused,), (made,) = await occasions(store, "bad"), await occasions(store)
    assert (refused.outcome, made.outcome) == ("refused", "submitted")
    assert "steps[0].params.p" in refused.detail
