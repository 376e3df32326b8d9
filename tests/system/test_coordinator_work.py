"""Work over contacts with a real coordinator: signed, told again, held back, ended by receipts."""

import asyncio

import pytest

from shared import limits
from shared.clock import WallMs
from shared.ids import parse_uuid
from shared.model.job import ExecutionState, TaskState
from shared.runtime.clock import SystemClock
from tests.stores import ENGINES
from tests.system.coordinator_world import SCHEMA, body, open_world

_X = ExecutionState
HOUR_S = 3_600


class Later(SystemClock):
    """The system's clock, and as much later as a test says."""

    by_ms = 0

    def wall_ms(self) -> WallMs:
        return WallMs(super().wall_ms() + self.by_ms)


@pytest.fixture
def clock():
    return Later()


@pytest.fixture(params=ENGINES)
async def world(request, tmp_path, clock):
    async with open_world(tmp_path, engine=request.param, clock=clock) as made:
        yield made


async def test_a_job_reaches_its_agent_and_its_receipts_come_back(world, gateway):
    job = await world.submit("pump-station")
    admitted = await gateway.ordered()
    execution = admitted.jobs[0].execution
    assert admitted.jobs[0].spec.name == "look"
    receipts = [
        gateway.receipt(1, execution, _X.DELIVERED),
        gateway.receipt(2, execution, TaskState.RUNNING, device="pump-1"),
        gateway.receipt(3, execution, _X.IN_PROGRESS),
        gateway.receipt(4, execution, TaskState.DONE, device="pump-1", result={"look.i": 4.5}),
        gateway.receipt(5, execution, _X.SUCCEEDED),
    ]
    reply, _ = await gateway.contact(receipts=receipts)
    assert reply.receipts_to == 5
    page = await world.read(f"/v1/executions?job={job['id']}")
    shown = page["items"][0]
    assert shown["state"] == "SUCCEEDED"
    assert shown["tasks"][0]["result"] == {"look.i": 4.5}
    history = (await world.read(f"/v1/executions/{shown['id']}"))["history"]
    assert [fact["number"] for fact in history] == [1, 2, 3, 4, 5]
    done = await world.read(f"/v1/jobs/{job['id']}")
    assert (done["state"], done["counts"]) == ("COMPLETED", {"SUCCEEDED": 1})


async def test_receipts_out_of_order_and_twice_end_the_same(world, gateway):
    job = await world.submit("pump-station")
    admitted = await gateway.ordered()
    execution = admitted.jobs[0].execution
    facts = {
        number: gateway.receipt(number, execution, state)
        for number, state in enumerate((_X.DELIVERED, _X.IN_PROGRESS, _X.HELD, _X.FAILED), 1)
    }
    reply, _ = await gateway.contact(receipts=[facts[4], facts[2]])
    assert reply.receipts_to == 0
    reply, _ = await gateway.contact(receipts=[facts[2], facts[1]])
    assert reply.receipts_to == 2
    reply, _ = await gateway.contact(receipts=[facts[3], facts[4]])
    assert reply.receipts_to == 4
    shown = (await world.read(f"/v1/executions?job={job['id']}"))["items"][0]
    assert shown["state"] == "FAILED"


async def test_a_receipt_about_somebody_elses_execution_changes_nothing(world, gateway):
    other = await world.gateway("other", site="south")
    job = await world.submit("other")
    admitted = await other.ordered()
    execution = admitted.jobs[0].execution
    reply, _ = await gateway.contact(receipts=[gateway.receipt(1, execution, _X.SUCCEEDED)])
    assert reply.receipts_to == 1, "what cannot be used must not stand before what can"
    shown = (await world.read(f"/v1/executions?job={job['id']}"))["items"][0]
    assert shown["state"] == "QUEUED"


async def test_a_signed_job_whose_answer_was_lost_is_signed_again_under_a_higher_number(
    world, gateway
):
    await world.submit("pump-station")
    frozen = gateway.report()
    lost = await world.sync(body(frozen))
    _, again = gateway.answered_by(frozen, await world.sync(body(frozen)))
    gateway.bundle_seq = 0
    _, first = gateway.answered_by(frozen, lost)
    assert first
    assert again
    assert (first.seq, again.seq) == (1, 2)
    assert first.jobs[0].execution == again.jobs[0].execution


async def test_an_unconfirmed_job_is_not_signed_again_at_every_contact(world, gateway):
    await world.submit("pump-station")
    await gateway.ordered()
    _, more = await gateway.contact()
    assert more is None, "a gateway whose queue is full would be answered for ever"


async def test_jobs_that_do_not_fit_into_one_bundle_come_with_the_next(world, gateway):
    points = ["p" * 39] * 380
    step = {"id": "look", "action": "device.read", "params": {"points": points}}
    for _ in range(20):
        await world.submit("pump-station", steps=[step])
    first, second = await gateway.ordered(), await gateway.ordered()
    assert 0 < len(first.jobs) < 20
    executions = {job.execution for job in (*first.jobs, *second.jobs)}
    assert len(executions) == 20


async def test_a_confirmed_job_is_not_signed_again(world, gateway):
    await world.submit("pump-station")
    admitted = await gateway.ordered()
    receipt = gateway.receipt(1, admitted.jobs[0].execution, _X.DELIVERED)
    _, more = await gateway.contact(receipts=[receipt])
    assert more is None


async def test_another_agents_job_is_never_in_the_bundle(world, gateway):
    other = await world.gateway("other", site="south")
    await world.submit("other", name="theirs")
    _, none = await gateway.contact()
    assert none is None
    await world.submit("pump-station", name="ours")
    assert [job.spec.name for job in (await gateway.ordered()).jobs] == ["ours"]
    assert [job.spec.name for job in (await other.ordered()).jobs] == ["theirs"]


async def test_a_held_contact_is_answered_when_a_job_is_submitted(world, gateway):
    await gateway.contact()
    held = asyncio.create_task(gateway.contact(wait=limits.WAIT_S))
    while not (await world.read("/v1/agents/pump-station"))["link"]["waiting"]:
        assert not held.done()
    await world.submit("pump-station")
    reply, admitted = await held
    assert admitted
    assert len(admitted.jobs) == 1
    assert reply.held_ms < limits.WAIT_S * 1000


async def test_a_held_contact_of_an_agent_that_is_revoked_gets_no_work(world, gateway):
    await gateway.contact()
    frozen = gateway.report()
    held = asyncio.create_task(world.sync(body(frozen), wait=limits.WAIT_S))
    while not (await world.read("/v1/agents/pump-station"))["link"]["waiting"]:
        assert not held.done()
    await world.post("/v1/agents/pump-station/revoke", {})
    answered = await held
    assert (answered.status, answered.problem) == (403, "agent-revoked")


async def test_a_contact_that_says_something_is_answered_at_once(world, gateway):
    reply, _ = await gateway.contact(blocks={1: gateway.block(1.0)}, wait=limits.WAIT_S)
    assert reply.held_ms == 0
    await gateway.contact(schemas=[SCHEMA.encode()], wait=limits.WAIT_S)


async def test_a_wait_beyond_the_bound_is_refused(world, gateway):
    answered = await world.sync(body(gateway.report()), wait=limits.WAIT_S + 1)
    assert (answered.status, answered.problem) == (422, "invalid")
    assert answered.json["at"] == "query.wait"


async def test_a_gateway_that_hangs_up_leaves_no_wait_behind(world, gateway):
    # The first contact brings documents, so it is never held.
    await gateway.contact()
    held = asyncio.create_task(gateway.contact(wait=limits.WAIT_S))
    while not (await world.read("/v1/agents/pump-station"))["link"]["waiting"]:
        assert not held.done()
    held.cancel()
    await asyncio.wait((held,))
    # Half of the wait that was asked for: only a wait that outlives its gateway takes longer.
    async with asyncio.timeout(limits.WAIT_S / 2):
        while (await world.read("/v1/agents/pump-station"))["link"]["waiting"]:
            await asyncio.sleep(0)
    # The answer it never got is given again.
    frozen = gateway.report()
    gateway.answered_by(frozen, await world.sync(body(frozen)))


async def over(world, clock, job):
    """Let the time of a job pass; return how it ended."""
    await world.gateway("other", site="south")
    clock.by_ms += HOUR_S * 1000
    await world.submit("other")  # a job that comes has deadlines looked at again
    return (await world.get(f"/v1/jobs/{job['id']}", headers={"Prefer": "wait=30"})).json


async def test_a_job_past_its_time_is_never_signed(world, gateway, clock):
    job = await world.submit("pump-station", expires_in_s=HOUR_S)
    done = await over(world, clock, job)
    assert (done["state"], done["counts"]) == ("COMPLETED", {"EXPIRED": 1})
    _, none = await gateway.contact()
    assert none is None


async def test_a_late_receipt_wins_over_what_was_supposed(world, gateway, clock):
    job = await world.submit("pump-station", expires_in_s=HOUR_S)
    admitted = await gateway.ordered()
    assert (await over(world, clock, job))["counts"] == {"OVERDUE": 1}
    receipt = gateway.receipt(1, admitted.jobs[0].execution, _X.SUCCEEDED)
    await gateway.contact(receipts=[receipt])
    shown = (await world.read(f"/v1/executions?job={job['id']}"))["items"][0]
    assert (shown["state"], shown["late"]) == ("SUCCEEDED", True)
    assert parse_uuid(shown["id"], what="an execution") == admitted.jobs[0].execution
