"""Triggers: each occasion fires once, whatever crashes, and what is not done is told too."""

from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec import convert
from msgspec.structs import replace

from coordinator.contract.triggers import TriggerBody
from coordinator.core.ports import execute, fetch
from coordinator.services.triggers import Triggers
from coordinator.services.waiting import WaitingRoom
from coordinator.transactions.cancel import cancel
from coordinator.transactions.happenings import happened
from coordinator.transactions.receipts import reconcile_receipts
from coordinator.transactions.templates import save_template
from coordinator.transactions.trigger_firings import (
    NEWEST,
    Bench,
    due_triggers,
    fire_event,
    fire_schedule,
    list_occasions,
)
from coordinator.transactions.triggers import (
    Saver,
    delete_trigger,
    pause_trigger,
    save_trigger,
    view_trigger,
)
from shared.clock import WallMs
from shared.errors import MistakeError
from shared.ids import AgentId, parse_uuid
from shared.model.artifact import artifact_text
from shared.model.job import ExecutionState
from shared.wire.messages import Receipt
from tests.agent_parts import HandClock
from tests.unit.test_coordinator_transactions import AGENT, ENTROPY, NOW, POLICY, issued, store
from tests.unit.test_templates import template

__all__ = ["store"]
MINUTE_MS = 60_000
FILE = {"artifact": artifact_text(b"?" * 32), "size": 9}
GET = {"id": "get", "action": "agent.fetch", "params": FILE}
EVERY_MINUTE = {"schedule": {"interval_s": 60}}
HEALTH = {"template": "check-health", "targets": {"agents": [AGENT]}}


def on(kind, **rest):
    return {"event": {"kind": kind, **rest}}


def saver(at_ms=NOW):
    return Saver(actor="anna", author="anna", now_ms=WallMs(at_ms))


async def saved(store, at_ms=NOW, **document):
    trigger = convert({"name": "t", **HEALTH, **document}, TriggerBody)
    body = partial(save_trigger, trigger, saver(at_ms), ENTROPY)
    return await store.run(body, durable=True)


async def look(store, at_ms=NOW):
    """Deal with what is due, as the service does."""
    bench = Bench(policy=POLICY, entropy=ENTROPY, now_ms=WallMs(at_ms))
    due, waiting = await store.read(partial(due_triggers, WallMs(at_ms)))
    for trigger in due:
        await store.run(partial(fire_schedule, trigger, bench), durable=True)
    for trigger, occasion in waiting:
        await store.run(partial(fire_event, trigger, occasion, bench), durable=True)


async def occasions(store, name="t"):
    views, _ = await store.read(partial(list_occasions, name, before=NEWEST, size=99))
    return views


async def outcomes(store):
    return [view.outcome for view in await occasions(store)][::-1]


async def told(store, kind="agent.online", occasion="1", agent=AGENT, at_ms=NOW):
    body = partial(happened, kind, occasion, agent=agent, now_ms=WallMs(at_ms))
    await store.run(body, durable=True)


async def ends(store, job, state=ExecutionState.SUCCEEDED, number=1):
    (grant,) = (await issued(store, NOW + 1)).grants
    assert grant.job == job
    receipt = Receipt(number, grant.execution, "", state, 1, 0, NOW)
    body = partial(reconcile_receipts, AGENT, b"J" * 16, [receipt], now_ms=NOW)
    await store.run(body, durable=True)


async def test_a_schedule_submits_a_job_at_each_nominal_time_once(store):
    view = await saved(store, **EVERY_MINUTE, max_per_hour=9)
    assert view.next_at is not None
    first_ms = int(view.next_at.timestamp() * 1000)
    for at_ms in (first_ms - 1, first_ms, first_ms, first_ms + 5):
        await look(store, at_ms)
    (found,) = await occasions(store)
    assert (found.outcome, found.occasion) == ("submitted", "at 1970-01-01T00:17:00.000Z")
    await ends(store, parse_uuid(found.job, what="a job"))
    await look(store, first_ms + MINUTE_MS)
    assert await outcomes(store) == ["submitted", "submitted"]


async def test_who_settles_deadlines_hears_of_the_jobs_that_a_trigger_made(store):
    view = await saved(store, **EVERY_MINUTE)
    at_ms = int(view.next_at.timestamp() * 1000)
    documents: Any = SimpleNamespace(now=SimpleNamespace(shelf=SimpleNamespace(policy=POLICY)))
    rooms = (WaitingRoom[AgentId](), WaitingRoom[bytes]())
    rings: list[int] = []
    for now_ms in (at_ms - 1, at_ms, at_ms):
        noted = partial(rings.append, now_ms)
        clock = HandClock(wall=now_ms)
        parts = (documents, store, clock, rooms)
        await Triggers(*parts, entropy=ENTROPY, submitted=noted).round()
    assert rings == [at_ms]


async def test_a_firing_that_was_undone_by_a_crash_fires_once_afterwards(store):
    view = await saved(store, **EVERY_MINUTE)
    at_ms = WallMs(int(view.next_at.timestamp() * 1000))
    bench = Bench(policy=POLICY, entropy=ENTROPY, now_ms=at_ms)
    (trigger,), _ = await store.read(partial(due_triggers, at_ms))

    def crashes():
        yield from fire_schedule(trigger, bench)
        raise RuntimeError("the power is gone")

    with pytest.raises(RuntimeError):
        await store.run(crashes, durable=True)
    assert await occasions(store) == []
    for _ in range(2):
        await store.run(partial(fire_schedule, trigger, bench), durable=True)
    assert await outcomes(store) == ["submitted"]


async def test_a_second_replica_with_an_old_look_fires_nothing(store):
    view = await saved(store, **EVERY_MINUTE)
    at_ms = WallMs(int(view.next_at.timestamp() * 1000))
    (trigger,), _ = await store.read(partial(due_triggers, at_ms))
    # The row went back, as another replica's snapshot would have it: the key of firings stands.
    bench = Bench(policy=POLICY, entropy=ENTROPY, now_ms=at_ms)
    await store.run(partial(fire_schedule, trigger, bench), durable=True)
    back = partial(execute, "trigger_resume", trigger, NOW, at_ms)
    await store.run(back, durable=True)
    await store.run(partial(fire_schedule, trigger, bench), durable=True)
    assert len(await occasions(store)) == 1


@pytest.mark.parametrize(
    ("overlap", "then"),
    [
        ("skip", ["submitted", "overlapped"]),
        ("queue_one", ["submitted"]),
        ("allow", ["submitted", "submitted"]),
        ("cancel_running", ["submitted", "submitted"]),
    ],
)
async def test_what_is_done_while_the_last_job_is_not_over(store, overlap, then):
    view = await saved(store, schedule={"interval_s": 60, "overlap": overlap})
    first_ms = int(view.next_at.timestamp() * 1000)
    await look(store, first_ms)
    await look(store, first_ms + MINUTE_MS)
    assert await outcomes(store) == then
    job = parse_uuid((await occasions(store))[-1].job, what="a job")
    again = await store.run(partial(cancel, job, actor="a", now_ms=WallMs(first_ms)), durable=True)
    assert (again.settled == "") is True
    if overlap == "queue_one":
        await look(store, first_ms + 2 * MINUTE_MS)
        assert await outcomes(store) == ["submitted", "submitted"]


@pytest.mark.parametrize(
    ("misfire", "count", "then"),
    [
        ("once", 1, ["submitted"]),
        ("skip", 1, ["missed"]),
        ("all", 3, ["submitted", "submitted", "submitted"]),
    ],
)
async def test_what_becomes_of_times_that_passed_while_nobody_looked(store, misfire, count, then):
    times = {"cron": "0 * * * *", "misfire": misfire, "max_catchup": count, "overlap": "allow"}
    await saved(store, schedule=times)
    await look(store, NOW + 10 * 3_600_000)
    assert await outcomes(store) == then


async def test_an_event_that_is_told_twice_fires_once(store):
    await saved(store, **on("agent.online"))
    for _ in range(3):
        await told(store)
        await look(store)
    await told(store, occasion="2")
    await look(store)
    assert await outcomes(store) == ["submitted", "submitted"]


async def test_an_event_that_waits_is_dealt_with_after_a_restart(store):
    await saved(store, **on("agent.online"))
    await told(store)
    assert [view.outcome for view in await occasions(store)] == ["waiting"]
    await look(store)
    assert await outcomes(store) == ["submitted"]


async def test_an_occasion_that_two_look_at_is_dealt_with_once(store):
    await saved(store, **on("agent.online"))
    await told(store)
    bench = Bench(policy=POLICY, entropy=ENTROPY, now_ms=NOW)
    _, [(trigger, occasion)] = await store.read(partial(due_triggers, NOW))
    fired = [
        await store.run(partial(fire_event, trigger, occasion, bench), durable=True)
        for _ in range(2)
    ]
    assert [len(one.jobs) for one in fired] == [1, 0]


async def test_what_was_too_much_stays_undone_for_who_has_looked_before(store):
    await saved(store, **on("agent.online"), max_per_hour=1)
    for number in range(2):
        await told(store, occasion=str(number))
    _, waiting = await store.read(partial(due_triggers, NOW))
    bench = Bench(policy=POLICY, entropy=ENTROPY, now_ms=NOW)
    for trigger, occasion in waiting:
        await store.run(partial(fire_event, trigger, occasion, bench), durable=True)
    later = Bench(policy=POLICY, entropy=ENTROPY, now_ms=WallMs(NOW + 3_600_001))
    for trigger, occasion in waiting:
        done = await store.run(partial(fire_event, trigger, occasion, later), durable=True)
        assert not done.jobs
    assert sorted(await outcomes(store)) == ["rate_limited", "submitted"]


async def test_where_nobody_listens_nothing_is_written(store):
    await saved(store, **on("agent.online"))
    await told(store, kind="agent.enrolled")
    assert await occasions(store) == []


async def test_too_many_in_an_hour_or_too_soon_are_told_and_not_done(store):
    await saved(store, **on("agent.online"), max_per_hour=1)
    for number in range(3):
        await told(store, occasion=str(number))
    await look(store)
    assert sorted(await outcomes(store)) == ["rate_limited", "rate_limited", "submitted"]
    await told(store, occasion="later")
    await look(store, NOW + 3_600_001)
    assert (await outcomes(store)).count("submitted") == 2
    gone = partial(delete_trigger, "t", actor="a", now_ms=NOW)
    await store.run(gone, durable=True)
    await saved(store, **on("agent.online"), min_interval_s=7_200)
    await told(store, occasion="a")
    await look(store, NOW)
    await told(store, occasion="b")
    await look(store, NOW + 7_199_000)
    await told(store, occasion="c")
    await look(store, NOW + 7_200_001)
    assert sorted(await outcomes(store)) == ["rate_limited", "submitted", "submitted"]


async def test_a_trigger_that_is_saved_again_knows_what_it_did_and_sees_its_job_at_work(store):
    view = await saved(store, **EVERY_MINUTE)
    first_ms = int(view.next_at.timestamp() * 1000)
    await look(store, first_ms)
    view = await saved(store, first_ms, schedule={"interval_s": 120}, max_per_hour=9)
    assert (view.last_outcome, view.trigger.max_per_hour) == ("submitted", 9)
    next_ms = int(view.next_at.timestamp() * 1000)
    assert next_ms > first_ms
    await look(store, next_ms)
    assert await outcomes(store) == ["submitted", "overlapped"]


async def test_a_paused_trigger_that_is_saved_again_rests_on(store):
    await saved(store, **EVERY_MINUTE)
    rest = partial(pause_trigger, "t", pause=True, actor="a", now_ms=NOW)
    await store.run(rest, durable=True)
    view = await saved(store, **on("agent.online"))
    assert (view.paused, view.next_at, view.trigger.schedule) == (True, None, None)
    await told(store)
    await look(store, NOW + MINUTE_MS)
    assert await occasions(store) == []


async def test_an_event_of_another_agent_is_no_occasion(store):
    await saved(store, **on("agent.online", selector="site=south"))
    await told(store)
    await look(store)
    assert await occasions(store) == []


@pytest.mark.parametrize(
    ("state", "kind"),
    [(ExecutionState.SUCCEEDED, "job.succeeded"), (ExecutionState.FAILED, "job.failed")],
)
async def test_a_job_follows_another_ones_end(store, state, kind):
    await saved(store, name="first", **on("agent.online"))
    for listens in ("job.succeeded", "job.failed"):
        name = listens.replace(".", "-")
        await saved(store, name=name, **on(listens, of="check-health"), template="diagnose")
    await told(store)
    await look(store)
    (first,) = await occasions(store, "first")
    await ends(store, parse_uuid(first.job, what="a job"), state)
    await look(store)
    for listens in ("job.succeeded", "job.failed"):
        found = await occasions(store, listens.replace(".", "-"))
        assert [one.outcome for one in found] == (["submitted"] if listens == kind else [])


async def test_jobs_that_would_set_each_other_off_for_ever_are_refused(store):
    a = on("job.succeeded", of="diagnose")
    await saved(store, name="a", **a)
    with pytest.raises(MistakeError, match="diagnose"):
        await saved(store, name="b", **on("job.failed", of="check-health"), template="diagnose")
    with pytest.raises(MistakeError, match="for ever"):
        await saved(store, name="c", **on("job.failed", of="check-health"))
    await saved(store, name="a", **a)


async def test_who_changes_a_template_changes_no_trigger(store):
    made = template({}, job={"steps": [{"id": "s", "action": "agent.health"}]})
    keep = partial(save_template, made, actor="anna", now_ms=NOW)
    await store.run(keep, durable=True)
    view = await saved(store, **on("agent.online"), template="raise")
    assert view.trigger.version == 1
    bad = replace(made, job={"steps": [{"id": "s", "action": "agent.restart"}]})
    await store.run(partial(save_template, bad, actor="bert", now_ms=NOW), durable=True)
    await told(store)
    await look(store)
    (grant,) = (await issued(store, NOW)).grants
    assert b"agent.health" in grant.spec


async def test_a_job_of_a_trigger_is_its_authors(store):
    await saved(store, **on("agent.online"))
    await told(store)
    await look(store)
    rows = await store.read(partial(fetch, "jobs_before", b"\xff" * 16, 9, ""))
    assert rows[0][9] == "anna"
    assert rows[0][19] == "trigger:t"


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"targets": {"selector": "site=nowhere"}}, "no agent matches"),
        ({"template": "", "job": {"steps": [GET]}}, "is not here; hand it in first"),
    ],
)
async def test_what_cannot_be_submitted_is_told_and_leaves_no_job(store, changes, why):
    await saved(store, **{**on("agent.online"), **changes})
    await told(store)
    await look(store)
    (found,) = await occasions(store)
    assert found.outcome == "refused"
    assert why in found.detail
    assert await store.read(partial(fetch, "jobs_before", b"\xff" * 16, 9, "")) == []


async def test_a_paused_trigger_makes_nothing_up(store):
    view = await saved(store, **EVERY_MINUTE)
    first_ms = int(view.next_at.timestamp() * 1000)

    async def pause(at_ms, *, rest):
        act = partial(pause_trigger, "t", pause=rest, actor="a", now_ms=WallMs(at_ms))
        return await store.run(act, durable=True)

    assert (await pause(NOW, rest=True)).paused
    await look(store, first_ms)
    assert await occasions(store) == []
    resumed = await pause(first_ms + 90_000, rest=False)
    assert resumed.next_at.timestamp() * 1000 == first_ms + 2 * MINUTE_MS
    await look(store, first_ms + 91_000)
    assert await occasions(store) == []


async def test_a_deleted_trigger_fires_no_more(store):
    await saved(store, **on("agent.online"))
    await told(store)
    gone = partial(delete_trigger, "t", actor="a", now_ms=NOW)
    assert (await store.run(gone, durable=True)).trigger.name == "t"
    await look(store)
    assert await issued(store, NOW) is None
    assert await store.read(partial(view_trigger, "t")) is None
    assert await store.run(gone, durable=True) is None
