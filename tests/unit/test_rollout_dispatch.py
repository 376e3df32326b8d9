"""Rollouts against a real store: members are released, counted, held, put off, undone."""

from functools import partial
from hashlib import sha256

import msgspec
import pytest

from coordinator.contract.job_spec import parse_submission
from coordinator.core.ports import execute, fetch
from coordinator.transactions.deadlines import expire
from coordinator.transactions.dispatch import Bench, OvertakenError, due, load, next_due, save, step
from coordinator.transactions.dispatch_joiners import add_members, joiners
from coordinator.transactions.enroll import Claim, enroll, save_claim
from coordinator.transactions.issue import issue
from coordinator.transactions.jobs import view_job
from coordinator.transactions.receipts import reconcile_receipts
from coordinator.transactions.rollouts_steer import Asked, NotNowError, steer
from coordinator.transactions.rollouts_view import list_rollouts, view_rollout
from coordinator.transactions.submit import Submission, draft_body, submit
from shared.clock import WallMs
from shared.errors import MistakeError
from shared.ids import AgentId, JobId
from shared.model.job import ExecutionState
from shared.runtime.clock import SystemEntropy
from shared.trust.starter import first_policy
from shared.wire.messages import EnrollRequest, Receipt
from tests.stores import ENGINES, AnyStore, open_store

NOW = 1_795_000_000_000
ENTROPY = SystemEntropy()
POLICY = first_policy(fleet=bytes(16), issued_ms=0, expires_ms=1 << 50)
DAY_MS = 86_400_000
EPOCH = b"J" * 16
READ = {"id": "look", "action": "device.read", "params": {"points": ["p"]}}
CANARY = [
    {"name": "canary", "percentage": 10, "min_targets": 2},
    {"name": "fleet", "percentage": 100},
]
STRICT = {"success_percentage": 95, "error_percentage": 5, "min_executed": 2}


class Fleet:
    """Agents named a00, a01, ..., two to a site, and one rollout over them."""

    def __init__(self, store: AnyStore) -> None:
        self.store, self.now, self.job = store, NOW, JobId(b"")
        self.numbers: dict[str, int] = {}
        self.policy = POLICY

    async def enroll(self, number: int, *, per_site: int = 2, first: int = 0) -> None:
        for index in range(first, first + number):
            site = f"s{index // per_site}"
            secret = f"{index}".encode()
            claim = Claim(
                claim_id=secret,
                secret_hash=sha256(secret).digest(),
                site=site,
                count=1,
                expires_ms=WallMs(1 << 50),
            )
            await self.store.run(
                partial(save_claim, claim, actor="me", now_ms=WallMs(self.now)), durable=False
            )
            request = EnrollRequest(secret, secret * 9, f"a{index:02}")
            await self.store.run(partial(enroll, request, now_ms=WallMs(self.now)), durable=False)

    async def submit(self, **members: object) -> None:
        document = {"name": "look", "steps": [READ], "targets": {"selector": "site"}, **members}
        body = parse_submission(document)
        job = draft_body(body, POLICY, WallMs(self.now))
        who = Submission(actor="me", token_id="t", now_ms=WallMs(self.now))
        made = await self.store.run(partial(submit, job, who, ENTROPY), durable=False)
        self.job = made.job
        await self.settle()

    def bench(self) -> Bench:
        return Bench(WallMs(self.now), ENTROPY, self.policy)

    async def step(self):
        return await self.store.run(partial(step, self.job, self.bench()), durable=False)

    async def settle(self) -> None:
        """Step until nothing is left to do now."""
        for _ in range(50):
            if not await self.store.read(partial(due, WallMs(self.now))):
                return
            await self.step()
        raise AssertionError("it never comes to rest")

    async def later(self, ms: int) -> None:
        self.now += ms
        await self.settle()

    async def states(self) -> dict[str, ExecutionState]:
        rows = await self.store.read(partial(_executions, self.job))
        return {row[1]: ExecutionState(row[3]) for row in sorted(rows, key=lambda row: row[1])}

    async def execution(self, agent: str, job: bytes = b"") -> bytes:
        rows = await self.store.read(partial(_executions, job or self.job))
        return next(row[0] for row in rows if row[1] == agent)

    async def tell(self, agent: str, state: ExecutionState) -> None:
        """Let an agent report a state, then let the rollout see it."""
        number = self.numbers[agent] = self.numbers.get(agent, 0) + 1
        execution = await self.execution(agent)
        receipt = Receipt(number, execution, "", state, 1, 0, self.now)
        body = partial(
            reconcile_receipts, AgentId(agent), EPOCH, [receipt], now_ms=WallMs(self.now)
        )
        await self.store.run(body, durable=False)
        await self.settle()

    async def tell_all(self, state: ExecutionState, agents: list[str] | None = None) -> None:
        chosen = [agent for agent, at in (await self.states()).items() if at < 10]
        for agent in agents or chosen:
            await self.tell(agent, state)

    async def sign(self, agent: str):
        body = partial(issue, AgentId(agent), now_ms=WallMs(self.now), again=False)
        return await self.store.run(body, durable=True)

    async def view(self):
        return await self.store.read(partial(view_rollout, self.job))

    async def ask(self, verb):
        body = partial(steer, self.job, Asked(verb, "token:1 anna"), self.bench())
        done = await self.store.run(body, durable=False)
        await self.settle()
        return done


def _executions(job):
    return (yield from fetch("executions_of_job", job, b"\xff" * 16, -1, "", 999))


@pytest.fixture(params=ENGINES)
async def fleet(request, tmp_path):
    async with open_store(request.param, tmp_path) as store:
        made = Fleet(store)
        await made.enroll(20)
        yield made


async def test_a_canary_that_succeeds_opens_the_next_stage(fleet):
    await fleet.submit(rollout={"stages": CANARY}, gate=STRICT)
    canary = await fleet.states()
    assert len(canary) == 2
    await fleet.tell_all(ExecutionState.SUCCEEDED)
    assert len(await fleet.states()) == 20
    await fleet.tell_all(ExecutionState.SUCCEEDED)
    assert (await fleet.view()).state == "FINISHED"


async def test_a_canary_that_fails_pauses_the_rollout(fleet):
    await fleet.submit(rollout={"stages": CANARY}, gate=STRICT)
    await fleet.tell_all(ExecutionState.FAILED)
    view = await fleet.view()
    assert (view.state, len(await fleet.states())) == ("PAUSED", 2)
    assert "2 of 2 failed" in view.why[0]


async def test_a_rollout_without_stages_releases_everybody_under_its_rate(fleet):
    await fleet.submit(rollout={"maximum_per_minute": 6})
    assert len(await fleet.states()) == 6
    await fleet.later(59_999)
    assert len(await fleet.states()) == 6
    await fleet.later(1)
    assert len(await fleet.states()) == 12
    assert await fleet.store.read(next_due) == fleet.now + 60_000


async def test_a_rate_grows_with_success(fleet):
    ramp = {"base_rate_per_minute": 2, "increment_factor": 2, "number_of_succeeded": 2}
    await fleet.submit(rollout={"exponential_rate": ramp})
    assert len(await fleet.states()) == 2
    await fleet.tell_all(ExecutionState.SUCCEEDED)
    assert len(await fleet.states()) == 4


async def test_one_site_is_never_worked_on_twice_at_once(fleet):
    await fleet.submit(rollout={"max_concurrent_per_site": 1})
    first = set(await fleet.states())
    assert len(first) == 10
    (agent, *_) = sorted(first)
    await fleet.tell(agent, ExecutionState.IN_PROGRESS)
    assert set(await fleet.states()) == first
    await fleet.tell(agent, ExecutionState.FAILED)
    index = int(agent[1:])
    assert set(await fleet.states()) - first == {f"a{index ^ 1:02}"}


async def test_who_is_lost_keeps_his_site_to_himself(fleet):
    """A technician may be looking for the first gateway while the second one must still work."""
    await fleet.submit(
        rollout={"max_concurrent_per_site": 1}, deadlines={"complete_within_s": 3600}
    )
    for agent in sorted(await fleet.states()):
        await fleet.tell(agent, ExecutionState.IN_PROGRESS)
    await fleet.later(3_600_000)
    assert set((await fleet.states()).values()) == {ExecutionState.OVERDUE}
    assert len(await fleet.states()) == 10


async def test_a_percentage_bounds_what_is_open(fleet):
    await fleet.submit(rollout={"max_concurrent_percentage": 25})
    assert len(await fleet.states()) == 5
    await fleet.tell_all(ExecutionState.IN_PROGRESS)
    assert len(await fleet.states()) == 5
    agent = min(await fleet.states())
    await fleet.tell(agent, ExecutionState.SUCCEEDED)
    assert len(await fleet.states()) == 6


async def test_a_paused_rollout_signs_nothing_that_it_had_released(fleet):
    await fleet.submit(rollout={"stages": CANARY}, gate=STRICT)
    agent, other = sorted(await fleet.states())
    assert (await fleet.sign(agent)).grants
    await fleet.ask("pause")
    assert await fleet.sign(other) is None
    await fleet.ask("resume")
    assert (await fleet.sign(other)).grants


async def test_after_a_resume_only_more_failures_stop_it_again(fleet):
    await fleet.submit(rollout={"stages": CANARY}, gate=STRICT)
    await fleet.tell_all(ExecutionState.FAILED)
    await fleet.ask("resume")
    assert ((await fleet.view()).state, len(await fleet.states())) == ("RUNNING", 2)
    await fleet.ask("advance")
    assert len(await fleet.states()) == 20
    await fleet.tell_all(
        ExecutionState.FAILED, [a for a, s in (await fleet.states()).items() if s < 10][:2]
    )
    assert (await fleet.view()).state == "PAUSED"


async def test_a_stage_waits_for_a_person_where_it_says_so(fleet):
    stages = [{**CANARY[0], "success_action": "pause"}, CANARY[1]]
    await fleet.submit(rollout={"stages": stages}, gate=STRICT)
    await fleet.tell_all(ExecutionState.SUCCEEDED)
    assert ((await fleet.view()).state, len(await fleet.states())) == ("PAUSED", 2)
    await fleet.ask("resume")
    assert len(await fleet.states()) == 20


async def test_a_good_stage_soaks_before_the_next_one(fleet):
    await fleet.submit(rollout={"stages": CANARY}, gate={**STRICT, "soak_minutes": 60})
    await fleet.tell_all(ExecutionState.SUCCEEDED)
    assert (await fleet.view()).stages[0].state == "SOAKING"
    await fleet.later(3_599_999)
    assert len(await fleet.states()) == 2
    await fleet.later(1)
    assert len(await fleet.states()) == 20


async def test_stragglers_are_carried_into_the_next_stage(fleet):
    gate = {**STRICT, "min_executed": 1, "reach_deadline": "P1D", "stragglers": "carry_forward"}
    await fleet.submit(rollout={"stages": CANARY, "max_concurrent_per_site": 1}, gate=gate)
    here, gone = sorted(await fleet.states())
    await fleet.tell(here, ExecutionState.SUCCEEDED)
    assert set(await fleet.states()) == {here, gone}
    await fleet.later(DAY_MS)
    view = await fleet.view()
    assert [(stage.name, stage.members) for stage in view.stages] == [("canary", 1), ("fleet", 19)]
    for _ in range(20):
        await fleet.tell_all(ExecutionState.SUCCEEDED)
    assert ((await fleet.view()).state, len(await fleet.states())) == ("FINISHED", 20)


async def test_a_straggler_whose_work_was_signed_only_counts_in_the_next_stage(fleet):
    gate = {**STRICT, "min_executed": 1, "reach_deadline": "P1D", "stragglers": "carry_forward"}
    await fleet.submit(rollout={"stages": CANARY}, gate=gate)
    here, gone = sorted(await fleet.states())
    await fleet.sign(gone)
    signed = await fleet.execution(gone)
    await fleet.tell(here, ExecutionState.SUCCEEDED)
    await fleet.later(DAY_MS)
    assert await fleet.execution(gone) == signed
    view = await fleet.view()
    assert [stage.members for stage in view.stages] == [1, 19]
    assert view.stages[1].counts == {"QUEUED": 19}


async def test_stragglers_are_dropped_and_come_back_only_as_late_facts(fleet):
    gate = {**STRICT, "min_executed": 1, "reach_deadline": "P1D", "stragglers": "drop"}
    await fleet.submit(rollout={"stages": CANARY}, gate=gate)
    here, gone = sorted(await fleet.states())
    await fleet.sign(gone)
    await fleet.tell(here, ExecutionState.SUCCEEDED)
    await fleet.later(DAY_MS)
    assert (await fleet.states())[gone] is ExecutionState.OVERDUE
    assert len(await fleet.states()) == 20
    assert (await fleet.sign(gone)).cancels
    await fleet.tell(gone, ExecutionState.SUCCEEDED)
    assert (await fleet.view()).stages[0].counts == {"SUCCEEDED": 2}


async def test_a_canary_that_nobody_executed_is_never_good(fleet):
    gate = {**STRICT, "reach_deadline": "P1D", "stragglers": "drop"}
    await fleet.submit(rollout={"stages": CANARY}, gate=gate)
    await fleet.later(DAY_MS)
    view = await fleet.view()
    assert (view.state, len(await fleet.states())) == ("PAUSED", 2)
    assert "nobody is left" in view.why[0]


async def test_too_many_failures_of_one_kind_abort_the_rollout(fleet):
    criterion = {"failure_type": "TIMED_OUT", "threshold_percentage": 50, "min_executed": 4}
    await fleet.submit(abort={"criteria": [criterion]})
    agents = sorted(await fleet.states())
    await fleet.tell_all(ExecutionState.FAILED, agents[:3])
    assert (await fleet.view()).state == "RUNNING"
    await fleet.tell_all(ExecutionState.TIMED_OUT, agents[3:6])
    view = await fleet.view()
    assert (view.state, view.why) == ("STOPPED", ["3 of 6 are TIMED_OUT: the limit is 50 %"])
    job = await fleet.store.read(partial(view_job, fleet.job, now_ms=fleet.now))
    assert job.state == "ABORTED"
    assert set((await fleet.states()).values()) == {
        ExecutionState.FAILED,
        ExecutionState.TIMED_OUT,
        ExecutionState.CANCELED,
    }


UNDO = {"steps": [{"id": "undo", "action": "device.read", "params": {"points": ["q"]}}]}


async def test_a_rollback_undoes_where_it_succeeded_and_calls_off_elsewhere(fleet):
    gate = {**STRICT, "error_action": "rollback"}
    await fleet.submit(gate=gate, compensation=UNDO)
    agents = sorted(await fleet.states())
    await fleet.sign(agents[9])
    await fleet.tell_all(ExecutionState.SUCCEEDED, agents[:4])
    await fleet.tell_all(ExecutionState.FAILED, agents[4:8])
    view = await fleet.view()
    assert (view.state, view.undo is not None) == ("ROLLED_BACK", True)
    undo = bytes.fromhex(view.undo.replace("-", ""))
    undone = await fleet.store.read(partial(_executions, undo))
    assert sorted(row[1] for row in undone) == agents[:4]
    assert (await fleet.sign(agents[9])).cancels
    await fleet.tell(agents[9], ExecutionState.SUCCEEDED)
    undone = await fleet.store.read(partial(_executions, undo))
    assert sorted(row[1] for row in undone) == [*agents[:4], agents[9]]


async def test_what_no_class_may_undo_any_more_is_called_off_and_says_so(fleet):
    gate = {**STRICT, "error_action": "rollback"}
    await fleet.submit(gate=gate, compensation=UNDO)
    fleet.policy = msgspec.structs.replace(POLICY, classes={})
    await fleet.tell_all(ExecutionState.FAILED, sorted(await fleet.states())[:3])
    view = await fleet.view()
    assert (view.state, view.undo) == ("STOPPED", None)
    assert "it cannot be undone" in " ".join(view.why)
    assert ExecutionState.QUEUED not in (await fleet.states()).values()


async def test_a_person_may_take_back_what_has_finished(fleet):
    await fleet.submit(rollout={}, compensation=UNDO)
    await fleet.tell_all(ExecutionState.SUCCEEDED)
    assert (await fleet.view()).state == "FINISHED"
    await fleet.ask("rollback")
    view = await fleet.view()
    assert view.state == "ROLLED_BACK"
    undo = bytes.fromhex(view.undo.replace("-", ""))
    assert len(await fleet.store.read(partial(_executions, undo))) == 20
    await fleet.ask("rollback")
    assert (await fleet.view()).undo == view.undo


async def test_what_has_no_compensation_is_not_taken_back(fleet):
    await fleet.submit(rollout={})
    with pytest.raises(MistakeError, match="does not say how it is taken back"):
        await fleet.ask("rollback")


async def test_a_finished_rollout_is_not_paused(fleet):
    await fleet.submit(rollout={})
    await fleet.tell_all(ExecutionState.SUCCEEDED)
    with pytest.raises(NotNowError, match="FINISHED"):
        await fleet.ask("pause")


async def test_a_late_fact_reopens_the_account_and_releases_nothing(fleet):
    await fleet.submit(rollout={}, deadlines={"contact_within": "P1D"})
    await fleet.later(DAY_MS)
    assert (await fleet.view()).state == "FINISHED"
    agent = min(await fleet.states())
    await fleet.tell(agent, ExecutionState.IN_PROGRESS)
    view = await fleet.view()
    assert (view.state, view.stages[0].counts) == ("FINISHED", {"IN_PROGRESS": 1, "OVERDUE": 19})
    job = await fleet.store.read(partial(view_job, fleet.job, now_ms=fleet.now))
    assert job.state == "IN_PROGRESS"
    assert await fleet.sign(sorted(await fleet.states())[1]) is None


async def test_late_failures_count_and_stop_nothing_that_is_over(fleet):
    gate = {**STRICT, "error_action": "rollback"}
    deadlines = {"contact_within": "P1D"}
    await fleet.submit(gate=gate, deadlines=deadlines, compensation=UNDO)
    agents = sorted(await fleet.states())
    await fleet.later(DAY_MS)
    await fleet.tell_all(ExecutionState.FAILED, agents[:3])
    view = await fleet.view()
    assert (view.state, view.undo, view.stages[0].failed) == ("FINISHED", None, 3)


async def test_it_begins_at_its_start_and_stops_at_its_end(fleet):
    start, end = "2026-11-19T00:00:00Z", "2026-11-19T01:00:00Z"
    fleet.now = 1_795_046_400_000 - 60_000
    rollout = {"start": start, "end": end, "maximum_per_minute": 1, "end_behavior": "cancel"}
    await fleet.submit(rollout=rollout)
    assert ((await fleet.view()).state, await fleet.states()) == ("READY", {})
    await fleet.later(60_000)
    assert len(await fleet.states()) == 1
    await fleet.later(3_600_000)
    assert (await fleet.view()).state == "EXPIRED"
    assert list((await fleet.states()).values()) == [ExecutionState.CANCELED]


async def test_late_joiners_wait_under_the_same_limits(fleet):
    rollout = {"target_selection": "continuous", "maximum_per_minute": 20}
    await fleet.submit(rollout={**rollout, "max_concurrent_per_site": 2})
    assert len(await fleet.states()) == 20
    await fleet.enroll(3, first=20, per_site=30)
    fleet.now += 59_000
    assert await fleet.store.read(partial(joiners, fleet.job, WallMs(fleet.now))) == []
    fleet.now += 1_000
    found = await fleet.store.read(partial(joiners, fleet.job, WallMs(fleet.now)))
    assert found == ["a20", "a21", "a22"]
    for _ in range(2):
        await fleet.store.run(partial(add_members, fleet.job, found), durable=False)
    await fleet.settle()
    view = await fleet.view()
    # They stand on the site of two members that are at work.
    assert (view.targets, view.released, view.state) == (23, 20, "RUNNING")
    await fleet.tell_all(ExecutionState.SUCCEEDED)
    assert (await fleet.view()).released == 22


async def test_what_was_called_off_releases_nobody_more(fleet):
    await fleet.submit(rollout={"maximum_per_minute": 5})
    await fleet.ask("cancel")
    await fleet.later(600_000)
    assert len(await fleet.states()) == 5
    assert (await fleet.view()).state == "STOPPED"


async def test_a_step_that_was_overtaken_keeps_nothing(fleet):
    await fleet.submit(rollout={"maximum_per_minute": 5})
    fleet.now += 60_000

    def overtaken():
        yield from execute("rollout_begin", fleet.job, fleet.now)
        loaded = yield from load(fleet.job)
        assert loaded is not None
        yield from execute("rollout_begin", fleet.job, fleet.now)
        yield from save(loaded, loaded.progress, "", due_ms=0, now_ms=fleet.now)

    with pytest.raises(OvertakenError):
        await fleet.store.run(overtaken, durable=False)
    await fleet.settle()
    assert len(await fleet.states()) == 10


async def test_a_rollout_whose_time_is_over_says_so(fleet):
    await fleet.submit(rollout={"maximum_per_minute": 5}, expires_in_s=600)
    fleet.now += 600_000
    await fleet.store.run(partial(expire, WallMs(fleet.now)), durable=False)
    await fleet.settle()
    assert (await fleet.view()).state == "EXPIRED"
    page, more = await fleet.store.read(partial(list_rollouts, before=b"\xff" * 16, size=5))
    assert ([one.state for one in page], more) == (["EXPIRED"], False)
