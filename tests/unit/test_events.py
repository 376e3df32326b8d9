"""Events: written with what they tell, read in order, never missed, whoever commits late."""

import asyncio
from functools import partial

import asyncpg
import pytest

from coordinator.core.events import BEGINNING, ERA, TYPES, Subject, check_type, subject_of
from coordinator.core.ports import execute
from coordinator.core.rollup import DAY_MS
from coordinator.services.events import Teller
from coordinator.store.postgres import PostgresStore
from coordinator.transactions.backup import begin_again
from coordinator.transactions.cancel import cancel
from coordinator.transactions.deadlines import expire
from coordinator.transactions.events import (
    NEWEST,
    Heard,
    find_start,
    newest_place,
    read_events,
)
from coordinator.transactions.firings import keep_firings
from coordinator.transactions.happenings import happened
from coordinator.transactions.outbox import tell
from coordinator.transactions.receipts import reconcile_receipts
from coordinator.transactions.retention import count_excess, drop_some
from shared import limits
from shared.clock import WallMs
from shared.errors import MistakeError
from shared.ids import uuid_text
from shared.model.job import ExecutionState
from shared.model.selector import parse_selector
from shared.wire.messages import Receipt
from tests.postgres_parts import database
from tests.readings_office import VirtualClock as StandingClock
from tests.stores import ask
from tests.stores import tell as change
from tests.unit.test_coordinator_transactions import AGENT, NOW, issued, store, submitted

__all__ = ["store"]


class VirtualClock(StandingClock):
    """A clock that tests set."""

    def __init__(self):
        self.now_ms = NOW

    def wall_ms(self):
        return self.now_ms


ALL = Heard(source="urn:outstation:fleet:00")


def only(**wanted):
    return Heard(source="urn:outstation:fleet:00", **wanted)


async def heard(store, wanted=ALL, *, place=BEGINNING, size=99, back=False):
    body = partial(read_events, wanted, place=place, size=size, back=back)
    return await store.read(body)


async def types(store, wanted=ALL, **rest):
    return [event.type for event in (await heard(store, wanted, **rest)).events]


async def ended(store, state=ExecutionState.SUCCEEDED, *, number=1, at_ms=NOW + 5):
    (grant,) = (await issued(store, NOW + 1)).grants
    receipt = Receipt(number, grant.execution, "", state, 1, 0, NOW)
    body = partial(reconcile_receipts, AGENT, b"J" * 16, [receipt], now_ms=WallMs(at_ms))
    await store.run(body, durable=True)
    return grant


async def told(store, number, *, agent="pump"):
    body = partial(tell, "agent.online", Subject(agent=agent), WallMs(number))
    await store.run(body, durable=True)


async def test_what_happens_to_a_job_is_told_in_order(store):
    job = (await submitted(store)).job
    grant = await ended(store)
    events = (await heard(store)).events
    assert [event.type for event in events] == [
        "agent.enrolled",
        "job.submitted",
        "execution.changed",
    ]
    _, handed_in, changed = events
    assert handed_in.subject == f"job:{uuid_text(job)}"
    assert (handed_in.data.who, changed.data.who) == ("me", "")
    assert changed.subject == f"execution:{uuid_text(grant.execution)}"
    assert (changed.data.before, changed.data.state) == ("QUEUED", "SUCCEEDED")
    assert [int(event.id) for event in events] == sorted({int(event.id) for event in events})


async def test_an_event_is_gone_with_the_transaction_that_was_undone(store):
    def fails():
        yield from tell("agent.online", Subject(agent="pump"), NOW)
        raise MistakeError("no", where="here")

    with pytest.raises(MistakeError):
        await store.run(fails, durable=True)
    assert await types(store) == ["agent.enrolled"]


async def test_a_receipt_that_comes_again_tells_nothing(store):
    await submitted(store)
    grant = await ended(store)
    receipt = Receipt(1, grant.execution, "", ExecutionState.SUCCEEDED, 1, 0, NOW)
    body = partial(reconcile_receipts, AGENT, b"J" * 16, [receipt], now_ms=NOW)
    await store.run(body, durable=True)
    assert (await types(store)).count("execution.changed") == 1


async def test_a_receipt_that_comes_late_is_marked(store):
    await submitted(store, lasts_ms=60_000)
    (grant,) = (await issued(store, NOW + 1)).grants
    await store.run(partial(expire, WallMs(NOW + 60_000)), durable=True)
    receipt = Receipt(1, grant.execution, "", ExecutionState.SUCCEEDED, 1, 0, NOW)
    body = partial(reconcile_receipts, AGENT, b"J" * 16, [receipt], now_ms=WallMs(NOW + 70_000))
    await store.run(body, durable=True)
    changes = (await heard(store, only(type="execution.changed"))).events
    assert [(one.data.state, one.data.late) for one in changes] == [
        ("OVERDUE", False),
        ("SUCCEEDED", True),
    ]


async def test_whoever_comes_back_goes_on_after_the_event_he_knows(store):
    for number in range(5):
        await told(store, number)
    first = await heard(store, size=2)
    assert first.more
    start = await store.read(partial(find_start, int(first.events[-1].id)))
    assert not start.missed
    rest = await heard(store, place=start.place)
    assert [*first.events, *rest.events] == (await heard(store)).events


async def test_whoever_was_away_too_long_is_told_so_and_gets_what_is_left(store):
    for number in range(5):
        await told(store, number)
    await change(store, "DELETE FROM event WHERE number <= 3")
    start = await store.read(partial(find_start, 2))
    assert start.missed
    assert [one.id for one in (await heard(store, place=start.place)).events] == ["4", "5", "6"]


async def test_numbers_go_on_far_above_after_a_database_was_put_back(store):
    await told(store, 1)
    newest = int((await heard(store)).events[-1].id)
    epoch = NOW // 1000  # as a real one: it counts seconds
    await store.run(partial(begin_again, restore_epoch=epoch, now_ms=NOW), durable=True)
    await told(store, 2)
    events = (await heard(store)).events
    assert [one.type for one in events][-2:] == ["coordinator.restored", "agent.online"]
    assert ERA * epoch < int(events[-1].id) < limits.INT_MAX
    # Somebody heard more than the copy knows: it gets what is new, and that it missed something.
    start = await store.read(partial(find_start, newest + 7))
    assert start.missed
    assert len((await heard(store, place=start.place)).events) == 2


async def test_events_are_chosen_by_type_and_noun_and_subject(store):
    job = (await submitted(store)).job
    grant = await ended(store)
    await told(store, 1, agent="valve")
    assert await types(store, only(type="job")) == ["job.submitted"]
    assert await types(store, only(type="agent.online")) == ["agent.online"]
    about = only(subject=subject_of(f"job:{uuid_text(job)}"))
    assert await types(store, about) == ["job.submitted", "execution.changed"]
    about = only(subject=subject_of(f"execution:{uuid_text(grant.execution)}"))
    assert await types(store, about) == ["execution.changed"]
    assert await types(store, only(subject=subject_of("agent:valve"))) == ["agent.online"]


async def test_a_limited_listener_hears_of_his_agents_only(store):
    await submitted(store)
    await ended(store)
    await store.run(partial(begin_again, restore_epoch=1, now_ms=NOW), durable=True)
    north = only(limit=parse_selector("site=north"))
    assert await types(store, north) == ["agent.enrolled", "job.submitted", "execution.changed"]
    assert await types(store, only(limit=parse_selector("site=south"))) == []
    chosen = only(selector=parse_selector("site=north"))
    assert await types(store, chosen) == ["agent.enrolled", "execution.changed"]


async def test_a_filter_that_finds_nothing_ends_and_tells_where_to_go_on(store, monkeypatch):
    for number in range(6):
        await told(store, number)
    monkeypatch.setattr(limits, "EVENTS_SCANNED", 4)
    nobody = only(limit=parse_selector("site=south"))
    heap = await heard(store, nobody, size=2)
    assert (list(heap.events), heap.more) == ([], True)
    heap = await heard(store, nobody, place=heap.last, size=2)
    assert heap.last == await store.read(newest_place)


async def test_the_newest_come_first_when_asked_for(store):
    for number in range(3):
        await told(store, number)
    back = await heard(store, place=NEWEST, back=True)
    assert [one.id for one in back.events] == ["4", "3", "2", "1"]


async def test_an_alarm_is_told_with_its_text(store):
    receipt = Receipt(
        *(1, b"x" * 16, "tank", ExecutionState.SUCCEEDED, 1, 0, NOW, "it is full"),
        result={"severity": "critical"},
        count=1,
    )
    body = partial(keep_firings, (AGENT, b"x" * 16, 1), None, [receipt], now_ms=NOW)
    await store.run(body, durable=True)
    (alarm,) = (await heard(store, only(type="alarm"))).events
    assert alarm.subject == f"device:{AGENT}/tank"
    assert alarm.data.detail == {"severity": "critical", "text": "it is full", "count": 1}


async def test_what_a_contact_with_nothing_new_tells_is_nothing(store):
    body = partial(happened, "disk.filling", "1", agent=AGENT, now_ms=NOW, free_mb=9)
    await store.run(body, durable=True)
    assert await types(store) == ["agent.enrolled"]


async def teller(store):
    return Teller(store, VirtualClock(), lambda: None)


async def test_the_end_of_a_job_is_told_once(store):
    clock = VirtualClock()
    one, other = Teller(store, clock, lambda: None), Teller(store, clock, lambda: None)
    await submitted(store)
    await one.round()
    assert "job.completed" not in await types(store)
    await ended(store)
    await asyncio.gather(one.round(), other.round())
    await one.round()
    (event,) = (await heard(store, only(type="job.completed"))).events
    assert event.data.detail == {"name": "look", "state": "COMPLETED", "SUCCEEDED": 1}


async def test_a_job_that_was_called_off_before_anybody_had_it_is_told_too(store):
    job = (await submitted(store)).job
    await store.run(partial(cancel, job, actor="anna", now_ms=NOW), durable=True)
    await (await teller(store)).round()
    assert (await types(store))[-3:] == ["execution.changed", "job.canceled", "job.completed"]


async def contacted(store, last_ms, interval_ms):
    await change(
        store,
        "INSERT INTO contact (agent_id, counter, digest, telemetry_epoch, jobs_epoch, boot_id,"
        " clock_state, offset_ms, refusals, last_ms, interval_ms, contacts, bytes_up, bytes_down,"
        " strays) VALUES ($1, 1, $2, $2, $2, $2, 0, 0, '[]', $3, $4, 1, 0, 0, $2)",
        *(AGENT, b"x", last_ms, interval_ms),
    )


async def test_silence_is_told_once_and_again_after_the_agent_was_heard(store):
    clock = VirtualClock()
    service = Teller(store, clock, lambda: None)
    await contacted(store, clock.wall_ms(), 60_000)
    await service.round()
    assert "agent.silent" not in await types(store)
    clock.now_ms = WallMs(clock.now_ms + 200_000)
    await service.round()
    await service.round()
    assert (await types(store)).count("agent.silent") == 1
    await store.run(lambda: execute("agent_heard", AGENT), durable=True)
    await service.round()
    assert (await types(store)).count("agent.silent") == 2


async def test_a_coordinator_that_was_down_calls_nobody_silent_for_it(store):
    clock = VirtualClock()
    await contacted(store, clock.wall_ms() - 90_000_000, 60_000)
    service = Teller(store, clock, lambda: None)
    await service.round()
    assert "agent.silent" not in await types(store)
    clock.now_ms = WallMs(clock.now_ms + 200_000)
    await service.round()
    assert "agent.silent" in await types(store)


async def test_events_go_when_their_time_is_over_the_oldest_first(store):
    for day in range(3):
        await told(store, day * DAY_MS)
    now_ms = WallMs(92 * DAY_MS + 1)
    assert [(one.setting, one.rows) for one in await store.read(partial(count_excess, now_ms))] == [
        ("events", 4)
    ]
    assert await store.run(partial(drop_some, now_ms, size=3), durable=False) == {"events": 3}
    assert await store.run(partial(drop_some, now_ms, size=3), durable=False) == {"events": 1}
    assert await types(store) == []
    await told(store, now_ms)
    assert int((await heard(store)).events[0].id) > 4, "no number is given twice"


async def test_of_too_many_events_the_newest_stay(store, monkeypatch):
    for number in range(5):
        await told(store, number)
    monkeypatch.setattr(limits, "EVENTS_KEPT", 2)
    assert await store.run(partial(drop_some, NOW, size=99), durable=False) == {"events": 4}
    assert [one.id for one in (await heard(store)).events] == ["5", "6"]


async def test_readers_on_postgresql_never_miss_an_event_that_commits_late():
    """The lower number commits after the higher one: nobody may be told the higher one before."""
    async with database() as url, await PostgresStore.open(url) as store:
        slow, quick = await asyncpg.connect(url), await asyncpg.connect(url)
        try:
            write = "INSERT INTO event (at_ms, type, agent_id) VALUES (1, 'agent.online', $1)"
            late = slow.transaction()
            await late.start()
            await slow.execute(write, "slow")
            await quick.execute(write, "quick")
            rows = await ask(store, "SELECT agent_id FROM event")
            assert rows == [("quick",)], "it is committed and could be read"
            before = await heard(store)
            assert before.events == []
            assert await store.read(newest_place) == BEGINNING
            await late.commit()
            after = await heard(store, place=before.last)
            assert [one.data.agent for one in after.events] == ["slow", "quick"]
        finally:
            await slow.close()
            await quick.close()


async def test_numbers_given_out_against_the_order_of_transactions_lose_nothing():
    """The older transaction takes the higher number and commits first."""
    async with database() as url, await PostgresStore.open(url) as store:
        older, younger = await asyncpg.connect(url), await asyncpg.connect(url)
        try:
            write = "INSERT INTO event (at_ms, type, agent_id) VALUES (1, 'agent.online', $1)"
            first, second = older.transaction(), younger.transaction()
            await first.start()
            await second.start()
            await older.execute("SELECT pg_current_xact_id()")
            await younger.execute(write, "younger")
            await older.execute(write, "older")
            await first.commit()
            one = await heard(store)
            assert [event.data.agent for event in one.events] == ["older"]
            start = await store.read(partial(find_start, int(one.events[-1].id)))
            await second.commit()
            two = await heard(store, place=start.place)
            assert [event.data.agent for event in two.events] == ["younger"]
        finally:
            await older.close()
            await younger.close()


def test_a_type_that_nobody_tells_is_a_mistake_with_a_hint():
    assert {check_type(one, where="t") for one in TYPES} == TYPES
    with pytest.raises(MistakeError) as caught:
        check_type("job.complete", where="query.type")
    assert "job.completed" in str(caught.value)
