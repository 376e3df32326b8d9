"""Transactions against a real store, at moments that a running coordinator passes by quickly."""

from functools import partial
from hashlib import sha256

import pytest
from msgspec.structs import replace

from coordinator.contract.job_spec import parse_submission, to_spec
from coordinator.core.ports import execute, fetch
from coordinator.transactions.approvals import Bench, SettledError, approve, view_approval
from coordinator.transactions.contact import AUDIT_GAP_MS, count_refusals
from coordinator.transactions.deadlines import expire, next_deadline
from coordinator.transactions.enroll import Claim, enroll, save_claim
from coordinator.transactions.issue import CONFIRM_MS, issue
from coordinator.transactions.jobs import view_job
from coordinator.transactions.submit import Submission, draft, submit
from shared import limits
from shared.clock import WallMs
from shared.errors import MistakeError, Reason
from shared.ids import AgentId, FleetId
from shared.model.job import JobSpec, Step
from shared.runtime.clock import SystemEntropy
from shared.trust.approval import APPROVAL_TYP, AgentsTarget, Approval
from shared.trust.envelope import seal
from shared.trust.policy import Approver, ClassRule
from shared.trust.starter import first_policy
from shared.wire.codec import pack
from shared.wire.messages import EnrollRequest
from tests.stores import ENGINES, open_store, tell
from tests.unit.trust_world import PEOPLE, kid, signer

NOW = WallMs(1_000_000)
AGENT = AgentId("pump")
ENTROPY = SystemEntropy()
POLICY = first_policy(fleet=bytes(16), issued_ms=0, expires_ms=1 << 50)


async def enrolled(store):
    """Let one agent in."""
    claim = Claim(
        claim_id=b"c",
        secret_hash=sha256(b"secret").digest(),
        site="north",
        count=9,
        expires_ms=1 << 50,
    )
    await store.run(partial(save_claim, claim, actor="me", now_ms=NOW), durable=False)
    request = EnrollRequest(b"secret", b"key", AGENT)
    await store.run(partial(enroll, request, now_ms=NOW), durable=False)


@pytest.fixture(params=ENGINES)
async def store(request, tmp_path):
    """A store with one agent in it."""
    async with open_store(request.param, tmp_path) as opened:
        await enrolled(opened)
        yield opened


def drafted(*, lasts_ms=60_000, policy=POLICY, **changes):
    step = {"id": "look", "action": "device.read", "params": {"points": ["p"]}}
    document = {"name": "look", "steps": [step], "targets": {"agents": [AGENT]}, **changes}
    spec = to_spec(parse_submission(document))
    return draft(spec, policy, not_after_ms=WallMs(NOW + lasts_ms), now_ms=NOW)


async def submitted(store, **changes):
    who = Submission(actor="me", token_id="t", now_ms=NOW)
    return await store.run(partial(submit, drafted(**changes), who, ENTROPY), durable=False)


async def issued(store, at_ms, *, again=False):
    body = partial(issue, AGENT, now_ms=WallMs(at_ms), again=again)
    return await store.run(body, durable=True)


async def test_a_job_past_its_time_is_not_signed_even_before_anybody_noticed(store):
    await submitted(store, lasts_ms=60_000)
    assert await issued(store, NOW + 60_000) is None
    assert len((await issued(store, NOW + 59_999)).grants) == 1


async def test_an_unconfirmed_job_is_signed_again_after_a_while(store):
    await submitted(store)
    assert (await issued(store, NOW)).seq == 1
    assert await issued(store, NOW + CONFIRM_MS - 1) is None
    assert (await issued(store, NOW + CONFIRM_MS)).seq == 2
    assert (await issued(store, NOW + CONFIRM_MS, again=True)).seq == 3


async def test_the_next_deadline_is_that_of_the_job_that_ends_first(store):
    assert await store.read(next_deadline) is None
    await submitted(store, lasts_ms=90_000)
    await submitted(store, lasts_ms=30_000)
    assert await store.read(next_deadline) == NOW + 30_000
    assert await store.run(partial(expire, WallMs(NOW + 29_999)), durable=False) == []
    assert len(await store.run(partial(expire, WallMs(NOW + 30_000)), durable=False)) == 1
    assert await store.read(next_deadline) == NOW + 90_000


async def test_a_key_of_idempotency_is_forgotten_after_a_day(store):
    async def again(at_ms):
        who = Submission(actor="me", token_id="t", now_ms=WallMs(at_ms), key="k", body_digest=b"d")
        job = drafted(lasts_ms=200_000_000)
        return await store.run(partial(submit, job, who, ENTROPY), durable=False)

    first = await again(NOW)
    day_ms = limits.IDEMPOTENCY_S * 1000
    assert (await again(NOW + day_ms)).job == first.job
    later = await again(NOW + day_ms + 1)
    assert later.job != first.job
    assert not later.replayed


async def test_a_job_that_would_be_over_at_once_is_refused(store):
    with pytest.raises(MistakeError) as caught:
        drafted(lasts_ms=0)
    assert caught.value.where == "not_after"


async def test_refusals_are_counted_always_and_audited_now_and_then(store):
    for at_ms in (0, 1, AUDIT_GAP_MS - 1, AUDIT_GAP_MS, AUDIT_GAP_MS + 1):
        refused = {Reason.REPORT_STALE: 1}
        body = partial(count_refusals, AGENT, refused, WallMs(NOW + at_ms))
        await store.run(body, durable=False)
    assert await store.read(partial(fetch, "refusals_of_agent", AGENT)) == [
        (Reason.REPORT_STALE, 5)
    ]
    audited = await _audited(store, "contact.refused")
    assert [detail for _, detail in audited] == [
        '{"count":1,"reason":"report_stale"}',
        '{"count":4,"reason":"report_stale"}',
    ]


async def _audited(store, action):
    def body():
        return (yield from fetch("audit_all"))

    store._statements["audit_all"] = "SELECT action, detail FROM audit ORDER BY number"
    return [row for row in await store.read(body) if row[0] == action]


async def test_the_audit_log_takes_no_second_thoughts(store):
    store._statements["audit_edit"] = "UPDATE audit SET actor = 'nobody'"
    with pytest.raises(Exception, match="append-only"):
        await store.run(partial(execute, "audit_edit"), durable=False)


# --- a lost store -------------------------------------------------------------------------------
async def _met(store, jobs_epoch):
    """What `issue` knows of the agent's store."""
    await tell(
        store,
        "INSERT INTO contact (agent_id, counter, digest, telemetry_epoch, jobs_epoch, boot_id,"
        " clock_state, offset_ms, refusals, last_ms, contacts, bytes_up, bytes_down)"
        " VALUES ('pump', 1, $2, $2, $1, $2, 0, 0, '{}', 1, 1, 0, 0)"
        " ON CONFLICT (agent_id) DO UPDATE SET jobs_epoch = excluded.jobs_epoch",
        jobs_epoch,
        b"",
    )


async def test_what_does_no_harm_twice_is_signed_again_after_a_loss_of_the_store(store):
    await submitted(store)
    for epoch in (b"one", b"two"):
        await _met(store, epoch)
        assert len((await issued(store, NOW, again=True)).grants) == 1


async def test_what_may_have_run_before_a_loss_is_not_signed_again(store):
    await submitted(store)
    await _met(store, b"one")
    pulse = JobSpec("start", [Step("go", "device.pulse", {"start": 1})])
    await tell(store, "UPDATE job SET spec = $1", pack(pulse))
    assert len((await issued(store, NOW)).grants) == 1
    assert len((await issued(store, NOW, again=True)).grants) == 1, "its answer was lost"
    await _met(store, b"two")
    assert await issued(store, NOW, again=True) is None
    rows = await store.read(partial(fetch, "executions_of_agent", AGENT, b"\xff" * 16, -1, 9))
    assert [Reason(row[4]) for row in rows] == [Reason.STORE_LOST], "a person is told"


# --- approvals at moments that a running coordinator passes by quickly ---------------------------
GUARDED = replace(
    POLICY,
    approvers=[Approver(name, signer(name).public_key) for name in PEOPLE],
    classes={
        "guarded": ClassRule(2, [kid(name) for name in PEOPLE], 60, {"device.read": []}),
    },
)


def bench(at_ms, policy=GUARDED):
    return Bench(fleet=FleetId(bytes(16)), policy=policy, now_ms=WallMs(at_ms))


async def signed(store, job, person, *, at_ms=NOW, lasts_ms=60_000, policy=GUARDED):
    form = await store.read(partial(view_approval, job, bench(at_ms, policy)))
    approval = Approval(
        fleet=bytes.fromhex(form.fleet),
        job=bytes.fromhex(form.digest),
        job_class=form.job_class,
        author=form.author,
        target=AgentsTarget(bytes.fromhex(form.agents_digest), len(form.agents)),
        issued_ms=at_ms,
        not_after_ms=at_ms + lasts_ms,
        max_executions=1,
    )
    envelope = seal(APPROVAL_TYP, pack(approval), [signer(person)])
    body = partial(approve, job, envelope, bench(at_ms, policy), actor="me")
    return await store.run(body, durable=False)


async def test_an_approval_that_ended_meanwhile_counts_no_more(store):
    job = (await submitted(store, policy=GUARDED)).job
    assert (await signed(store, job, "alice", lasts_ms=1_000)).released == ()
    assert (await signed(store, job, "bob", at_ms=NOW + 2_000)).released == ()
    form = await store.read(partial(view_approval, job, bench(NOW + 2_000)))
    assert (form.people, form.needed) == (["bob"], 2)
    assert [vote.counts for vote in form.votes] == [False, True]
    assert (await signed(store, job, "alice", at_ms=NOW + 2_000)).released == [AGENT]
    (grant,) = (await issued(store, NOW + 2_000)).grants
    assert len(grant.approvals) == 2


async def test_a_job_that_nobody_approved_in_time_is_over(store):
    job = (await submitted(store, policy=GUARDED)).job
    assert await store.read(next_deadline) == NOW + 60_000
    with pytest.raises(SettledError, match=r"time .* is over"):
        await signed(store, job, "alice", at_ms=NOW + 60_000)
    assert await store.run(partial(expire, WallMs(NOW + 60_000)), durable=False) == [job]
    view = await store.read(partial(view_job, job, now_ms=WallMs(NOW + 60_001)))
    assert (view.state, view.counts, view.agreement.needed) == ("EXPIRED", {}, 2)
    # A request that was received a moment before, and waited.
    with pytest.raises(SettledError, match=r"time .* is over"):
        await signed(store, job, "alice", at_ms=NOW + 59_999)
    assert await issued(store, NOW) is None


async def test_a_policy_that_asks_for_more_meanwhile_is_obeyed(store):
    job = (await submitted(store, policy=GUARDED)).job
    await signed(store, job, "alice")
    stricter = replace(
        GUARDED, classes={"guarded": replace(GUARDED.classes["guarded"], threshold=3)}
    )
    form = await store.read(
        partial(view_approval, job, Bench(fleet=FleetId(bytes(16)), policy=stricter, now_ms=NOW))
    )
    assert (form.needed, form.people) == (3, ["alice"])


async def test_an_approval_of_who_left_the_policy_meanwhile_counts_no_more(store):
    job = (await submitted(store, policy=GUARDED)).job
    await signed(store, job, "alice")
    people = [name for name in PEOPLE if name != "alice"]
    left = replace(
        GUARDED,
        approvers=[Approver(name, signer(name).public_key) for name in people],
        classes={"guarded": ClassRule(2, [kid(name) for name in people], 60, {"device.read": []})},
    )
    assert (await signed(store, job, people[0], at_ms=NOW + 1, policy=left)).released == ()
    form = await store.read(partial(view_approval, job, bench(NOW + 1, left)))
    assert (form.people, [vote.counts for vote in form.votes]) == ([people[0]], [False, True])
    assert (await signed(store, job, people[1], policy=left)).released == [AGENT]
    form = await store.read(partial(view_approval, job, bench(NOW, GUARDED)))
    assert [vote.counts for vote in form.votes] == [True] * 3, "released is released"


async def test_approvals_that_ended_take_no_room_from_new_ones(store):
    crowd = [f"p{number}" for number in range(limits.APPROVALS_PER_GRANT + 2)]
    policy = replace(
        GUARDED,
        approvers=[Approver(name, signer(name).public_key) for name in crowd],
        classes={"guarded": ClassRule(2, [kid(name) for name in crowd], 60, {"device.read": []})},
    )
    job = (await submitted(store, policy=policy)).job
    for number, name in enumerate(crowd):
        at_ms = NOW + 10 * number
        await signed(store, job, name, at_ms=at_ms, lasts_ms=5, policy=policy)
    form = await store.read(partial(view_approval, job, bench(NOW + 10 * len(crowd), policy)))
    assert (len(form.votes), form.people) == (len(crowd), [])
