"""What an agent began and has no memory of any more: nobody waits for its end for ever."""

from functools import partial

import pytest
from msgspec.structs import replace

from coordinator.core.derived import execution_of
from coordinator.core.ports import execute, fetch_one
from coordinator.transactions.carried import CarriedContact, prepare_return, record_carried
from coordinator.transactions.contact import Contact, record_contact
from coordinator.transactions.executions import insert_executions
from coordinator.transactions.firings import NEWEST as NEWEST_FIRING
from coordinator.transactions.firings import WantedAlarms, list_alarms
from coordinator.transactions.jobs import Wanted, list_executions
from coordinator.transactions.lost import presume_lost
from coordinator.transactions.membership import release
from coordinator.transactions.receipts import reconcile_receipts
from shared.clock import WallMs
from shared.errors import Reason
from shared.ids import AgentId, JobId
from shared.model.job import ExecutionState
from shared.trust.carried import Carried
from shared.wire.messages import Receipt
from tests.readings_office import report
from tests.rollout_fleet import CANARY, STRICT, enrolled
from tests.stores import ENGINES, ask, open_store, tell
from tests.unit.test_coordinator_transactions import AGENT, NOW, issued, store, submitted

__all__ = ["store"]

OLD, FRESH, NEWEST = b"O" * 16, b"F" * 16, b"\xff" * 16
BEGUN, DONE, OVERDUE = (
    ExecutionState.IN_PROGRESS,
    ExecutionState.SUCCEEDED,
    ExecutionState.OVERDUE,
)


@pytest.fixture(params=ENGINES)
async def fleet(request, tmp_path):
    async with open_store(request.param, tmp_path) as store:
        yield await enrolled(store)


async def ordered(store, **wanted) -> bytes:
    """Have one job signed for the agent; return its execution."""
    await store.run(partial(execute, "fleet_insert", b"f" * 16, "", b"k" * 32, NOW), durable=False)
    await submitted(store, **wanted)
    (grant,) = (await issued(store, NOW)).grants
    return grant.execution


async def told(store, epoch: bytes, *receipts: Receipt) -> int:
    body = partial(reconcile_receipts, AGENT, epoch, receipts, now_ms=NOW)
    return (await store.run(body, durable=True)).new


async def lost(store, epoch: bytes) -> None:
    await store.run(partial(presume_lost, AGENT, epoch, NOW), durable=True)


async def known(store, execution: bytes) -> tuple[ExecutionState, int]:
    row = await store.read(partial(fetch_one, "execution_known", AGENT, execution))
    return ExecutionState(row[1]), row[2]


def word(execution: bytes, number: int, state: ExecutionState, *, at_ms: int = NOW) -> Receipt:
    return Receipt(number, execution, "", state, 1, 0, WallMs(at_ms))


async def test_what_was_begun_under_a_lost_store_is_overdue_until_somebody_tells_of_it(store):
    execution = await ordered(store)
    await told(store, OLD, word(execution, 1, BEGUN))
    await lost(store, OLD)
    assert await known(store, execution) == (BEGUN, 0), "its agent remembers it"
    await told(store, FRESH)
    await lost(store, FRESH)
    assert await known(store, execution) == (OVERDUE, Reason.STORE_LOST)
    await told(store, OLD, word(execution, 2, DONE))
    assert await known(store, execution) == (DONE, 0), "a stick came late"
    await lost(store, FRESH)
    assert await known(store, execution) == (DONE, 0)


async def test_what_neither_side_remembers_is_not_ordered_once_more(store):
    await store.run(partial(execute, "fleet_insert", b"f" * 16, "", b"k" * 32, NOW), durable=False)
    await submitted(store)
    await lost(store, FRESH)
    assert await open_jobs(store) == 1, "it was never signed, and everybody knows"
    await store.run(partial(execute, "restore_insert", 1, NOW + 1, NOW), durable=False)
    await lost(store, FRESH)
    assert await open_jobs(store) == 0
    assert await issued(store, NOW + 2) is None


async def test_what_was_ordered_after_a_restore_goes_to_whoever_forgot(store):
    await store.run(partial(execute, "fleet_insert", b"f" * 16, "", b"k" * 32, NOW), durable=False)
    await store.run(partial(execute, "restore_insert", 1, NOW - 1, NOW - 1), durable=False)
    await submitted(store)
    await lost(store, FRESH)
    assert await open_jobs(store) == 1


async def forgets(fleet, agent: str, *, restored: bool) -> None:
    """Lose the memory of an agent; with `restored`, that of the coordinator before."""
    if restored:
        body = partial(execute, "restore_insert", 1, fleet.now, fleet.now)
        await fleet.store.run(body, durable=False)
    body = partial(presume_lost, AgentId(agent), FRESH, WallMs(fleet.now))
    await fleet.store.run(body, durable=True)
    await fleet.settle()


async def test_who_forgot_begins_no_rollout_that_a_lost_coordinator_may_have_released(fleet):
    await fleet.submit(rollout={"stages": CANARY}, gate=STRICT)
    agent = min({"a00", "a01", "a02"} - set(await fleet.states()))
    await forgets(fleet, agent, restored=False)
    assert agent not in await fleet.states(), "this coordinator is no copy"
    await forgets(fleet, agent, restored=True)
    assert (await fleet.states())[agent] is OVERDUE
    await fleet.tell_all(DONE)
    await fleet.tell_all(DONE)
    assert await fleet.sign(agent) is None
    states = await fleet.states()
    assert (states.pop(agent), set(states.values()), len(states)) == (OVERDUE, {DONE}, 19)
    assert (await fleet.view()).state == "FINISHED"


async def test_who_forgot_begins_no_rollout_that_went_on_after_the_restore(fleet):
    await fleet.submit(rollout={"maximum_per_minute": 6})
    first = set(await fleet.states())
    await fleet.store.run(
        partial(execute, "restore_insert", 1, fleet.now, fleet.now), durable=False
    )
    await fleet.later(60_000)
    agent = min(set(await fleet.states()) - first)
    await forgets(fleet, agent, restored=False)
    assert (await fleet.states())[agent] is OVERDUE
    assert await fleet.sign(agent) is None


async def test_what_was_told_before_a_rollout_went_on_after_a_restore_counts(fleet):
    await fleet.submit(rollout={"maximum_per_minute": 6})
    agent = max({f"a{number:02}" for number in range(20)} - set(await fleet.states()))
    said = word(execution_of(fleet.job, AgentId(agent)), 1, DONE)
    body = partial(reconcile_receipts, AgentId(agent), OLD, [said], now_ms=NOW)
    await fleet.store.run(body, durable=True)
    await forgets(fleet, agent, restored=True)
    assert (await fleet.states())[agent] is DONE


@pytest.mark.parametrize("made_ms", [NOW, NOW + 2], ids=["found again", "made again"])
async def test_what_was_told_before_a_job_is_queued_again_after_a_restore_counts(store, made_ms):
    execution = await ordered(store)
    [(job,)] = await ask(store, "SELECT job_id FROM job")
    await tell(store, "DELETE FROM execution")
    await tell(store, "UPDATE job SET created_ms = $1", made_ms)
    await told(store, OLD, word(execution, 1, BEGUN), word(execution, 2, DONE))
    await store.run(partial(execute, "restore_insert", 1, NOW + 1, NOW), durable=False)
    queue = partial(insert_executions, JobId(job), [AgentId(AGENT)], now_ms=WallMs(NOW))
    await store.run(queue, durable=False)
    assert (await known(store, execution))[0] is DONE


async def open_jobs(store) -> int:
    views, _ = await store.read(
        partial(list_executions, Wanted(state=ExecutionState.QUEUED), before=NEWEST, size=9)
    )
    return len(views)


async def test_a_standing_job_of_a_lost_store_does_not_stand_for_ever(store):
    execution = await ordered(store, schedule={"interval_s": 3600})
    await told(store, OLD, word(execution, 1, ExecutionState.HELD))
    await lost(store, OLD)
    assert await known(store, execution) == (ExecutionState.HELD, 0), "it stands"
    await told(store, FRESH)
    await lost(store, FRESH)
    assert await known(store, execution) == (OVERDUE, Reason.STORE_LOST)


@pytest.mark.parametrize("state", [ExecutionState.DELIVERED, ExecutionState.HELD])
async def test_what_had_not_begun_is_lost_as_well_its_deadline_may_be_months_away(store, state):
    execution = await ordered(store)
    await told(store, OLD, word(execution, 1, state))
    await told(store, FRESH)
    await lost(store, FRESH)
    assert await known(store, execution) == (OVERDUE, Reason.STORE_LOST)


async def test_an_older_card_that_calls_has_no_memory_of_what_a_newer_one_began(store):
    execution = await ordered(store)
    await told(store, OLD)
    await told(store, FRESH, word(execution, 1, BEGUN))
    await lost(store, OLD)
    assert await known(store, execution) == (OVERDUE, Reason.STORE_LOST)


async def test_a_store_is_outlived_once_its_agent_has_had_another_one(store):
    for epoch, outlived in ((OLD, False), (OLD, False), (FRESH, False), (OLD, True)):
        body = partial(reconcile_receipts, AGENT, epoch, [], now_ms=NOW)
        assert (await store.run(body, durable=True)).outlived is outlived


async def test_who_ends_a_quarantine_does_not_know_which_machine_is_left(store):
    execution = await ordered(store)
    await told(store, OLD, word(execution, 1, BEGUN))
    body = partial(release, AGENT, actor="zoe", now_ms=NOW)
    assert await store.run(body, durable=True)
    assert await known(store, execution) == (BEGUN, 0), "it was in no quarantine"
    await store.run(partial(fetch_one, "agent_quarantine", AGENT, NOW), durable=True)
    assert await store.run(body, durable=True)
    assert await known(store, execution) == (OVERDUE, Reason.STORE_LOST)


async def test_what_an_older_card_tells_under_numbers_that_are_taken_counts(store):
    execution = await ordered(store)
    await told(store, OLD, word(execution, 1, BEGUN), word(b"x" * 16, 2, BEGUN))
    assert await told(store, OLD, word(execution, 1, BEGUN)) == 0, "the same once more"
    assert await told(store, OLD, word(execution, 2, DONE, at_ms=NOW + 5)) == 1
    assert await known(store, execution) == (DONE, 0)
    assert await told(store, OLD, word(execution, 2, DONE, at_ms=NOW + 5)) == 1, "as before"


async def test_what_an_older_card_tells_under_the_number_of_a_firing_counts(store):
    execution = await ordered(store)
    firing = replace(word(b"x" * 16, 2, DONE), count=1)
    await told(store, OLD, word(execution, 1, BEGUN), firing)
    assert await told(store, OLD, firing) == 0, "the same once more"
    assert await told(store, OLD, word(execution, 2, DONE, at_ms=NOW + 5)) == 1
    assert await known(store, execution) == (DONE, 0)
    assert await told(store, OLD, word(execution, 2, DONE, at_ms=NOW + 5)) == 0, "history has it"


async def test_an_alarm_of_an_older_card_is_told_under_any_number_and_once(store):
    execution = await ordered(store, schedule={"interval_s": 3600})
    alarm = replace(word(execution, 1, DONE), count=1, result={"severity": "critical"})
    later = [
        replace(alarm, number=number, firing_ms=NOW + 7, last_ms=NOW + 8, device=f"pump-{number}")
        for number in (1, 2)
    ]
    await told(store, OLD, alarm, word(b"x" * 16, 2, BEGUN))
    assert [await told(store, OLD, one) for one in (alarm, *later)] == [0, 1, 1]
    assert await told(store, OLD, *later) == 0, "the same once more"
    views, _ = await store.read(partial(list_alarms, WantedAlarms(), before=NEWEST_FIRING, size=9))
    assert len(views) == 3


async def test_an_older_card_has_not_heard_of_what_the_newer_one_began(store):
    execution = await ordered(store)
    await told(store, OLD, word(b"x" * 16, 1, BEGUN), word(execution, 2, BEGUN))
    await told(store, OLD, word(b"y" * 16, 1, BEGUN))
    assert await known(store, execution) == (OVERDUE, Reason.STORE_LOST)


async def called(store, number: int, **said) -> None:
    """Let the agent with the old store make its next contact."""
    contact = Contact(
        agent=AGENT,
        report=report(
            counter=number, previous=bytes([number - 1]) * 32, **{"jobs_epoch": OLD, **said}
        ),
        digest=bytes([number]) * 32,
        blocks=[],
        schemas=[],
        bytes_up=300,
        bytes_down=100,
        now_ms=NOW,
        with_orders=False,
    )
    await store.run(partial(record_contact, contact), durable=False)


async def test_what_a_stick_told_of_a_newer_store_is_lost_once_the_older_card_calls(store):
    execution = await ordered(store)
    await called(store, 1)
    await told(store, FRESH, word(execution, 1, BEGUN))
    assert await known(store, execution) == (BEGUN, 0), "it may be the one that lives"
    await called(store, 2)
    assert await known(store, execution) == (OVERDUE, Reason.STORE_LOST)


@pytest.mark.parametrize("next_receipt", [0, 1, 2, 3])
async def test_an_older_card_that_has_nothing_to_tell_says_how_far_it_has_come(store, next_receipt):
    execution = await ordered(store)
    await called(store, 1)
    await told(store, OLD, word(b"x" * 16, 1, DONE), word(execution, 2, BEGUN))
    await called(store, 2, next_receipt=next_receipt)
    is_older = next_receipt in {1, 2}
    assert (await known(store, execution))[0] is (OVERDUE if is_older else BEGUN)


async def test_what_an_older_card_has_begun_anew_is_not_lost_for_what_the_newer_one_told(store):
    execution = await ordered(store)
    await called(store, 1)
    await told(store, OLD, word(execution, 2, BEGUN), word(b"y" * 16, 3, DONE))
    await told(store, OLD, word(b"x" * 16, 1, DONE))
    await called(store, 2, next_receipt=3)
    assert await known(store, execution) == (BEGUN, 0)


async def carried(store, epoch: bytes, number: int) -> None:
    """Take in what an agent wrote to a stick."""
    contact = CarriedContact(
        agent=AGENT,
        carried=Carried(number, report(counter=number, jobs_epoch=epoch)),
        digest=bytes([number]) * 32,
        blocks=[],
        schemas=[],
        now_ms=NOW,
    )
    await store.run(partial(record_carried, contact), durable=True)


@pytest.mark.parametrize(("number", "state"), [(2, BEGUN), (3, OVERDUE)])
async def test_a_report_that_waited_when_a_stick_told_of_more_is_no_older_card(
    store, number, state
):
    execution = await ordered(store)
    await called(store, 1)
    await carried(store, OLD, 2)
    await told(store, OLD, word(execution, 1, BEGUN))
    await called(store, number, next_receipt=1)
    assert (await known(store, execution))[0] is state


async def returned(store):
    """Return the work that goes onto a stick to the agent."""
    body = partial(prepare_return, AGENT, actor="me", now_ms=NOW)
    return (await store.run(body, durable=True)).order


async def test_a_stick_brings_a_new_store_nothing_that_was_signed_for_another_one(store):
    await called(store, 1)
    once = {"id": "go", "action": "device.command", "params": {"call": "set-once"}}
    execution = await ordered(store, steps=[once])
    assert len((await returned(store)).grants) == 1
    await carried(store, FRESH, 1)
    assert await returned(store) is None
    assert await known(store, execution) == (ExecutionState.QUEUED, Reason.STORE_LOST)


@pytest.mark.parametrize("calls", [[], [OLD], [OLD, FRESH]], ids=["sticks-alone", "before", "both"])
async def test_a_stick_brings_a_new_store_nothing_that_may_have_been_signed_before_a_restore(
    store, calls
):
    if OLD in calls:
        await called(store, 1)
    await store.run(partial(execute, "fleet_insert", b"f" * 16, "", b"k" * 32, NOW), durable=False)
    await submitted(store)
    await carried(store, OLD, 1)
    await store.run(partial(execute, "restore_insert", 1, NOW + 1, NOW), durable=False)
    if FRESH in calls:
        await called(store, 5, jobs_epoch=FRESH)
    assert await open_jobs(store) == 1, "nobody believes it before it has answered an answer"
    await carried(store, FRESH, 1)
    assert await open_jobs(store) == 0
    assert await returned(store) is None
