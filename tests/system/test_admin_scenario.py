"""One hundred gateways, a third of them off for days, a canary that fails, a rollback, a return.

On each of the two databases, on a clock that is set. Each gateway here knows what it really did to
its device, takes nothing but signed orders' content, and tells it when it can; the report that
people read is compared with what the gateways hold. Links and signatures have their own tests
(`test_coordinator_contacts`), as has the agent itself.
"""

from collections import Counter
from dataclasses import dataclass, field
from functools import partial

import pytest

from coordinator.cli.rollouts_report import report
from coordinator.transactions.issue import CONFIRM_MS, Order
from coordinator.transactions.jobs import Wanted, list_executions
from coordinator.transactions.receipts import reconcile_receipts
from shared import limits
from shared.clock import WallMs
from shared.ids import AgentId, parse_uuid
from shared.model.job import TERMINAL_EXECUTION, ExecutionState, JobSpec
from shared.wire.codec import unpack
from shared.wire.messages import Receipt
from tests.rollout_fleet import DAY_MS, EPOCH, UNDO, Fleet
from tests.stores import ENGINES, open_store

AGENTS = 100
_X = ExecutionState
ROLLOUT = {
    "stages": [
        {"name": "canary", "percentage": 10, "min_targets": 5},
        {"name": "half", "percentage": 50},
        {"name": "fleet", "percentage": 100},
    ],
    "max_concurrent_per_site": 2,
}
GATE = {
    "success_percentage": 80,
    "error_percentage": 10,
    "min_executed": 3,
    "error_action": "rollback",
    "reach_deadline": "P3D",
    "stragglers": "carry_forward",
}


@dataclass
class Gateway:
    """A gateway with one device: what it was ordered, and what it really did."""

    name: str
    breaks: bool = False
    """The new configuration does not work on its device."""
    did: list[str] = field(default_factory=list)
    ended: dict[bytes, ExecutionState] = field(default_factory=dict)
    told: list[Receipt] = field(default_factory=list)
    numbers: int = 0

    def obey(self, order: Order, now_ms: int) -> None:
        for grant in order.grants:
            if grant.execution not in self.ended:
                spec = unpack(grant.spec, JobSpec, bound=limits.SPEC_BYTES)
                ok = spec.steps[0].id == "undo" or not self.breaks
                self.did += [spec.steps[0].id] if ok else []
                self._end(grant.execution, _X.SUCCEEDED if ok else _X.FAILED, now_ms)
        for execution in order.cancels:
            if execution not in self.ended:
                self._end(execution, _X.CANCELED, now_ms)

    def _end(self, execution: bytes, state: ExecutionState, now_ms: int) -> None:
        self.ended[execution] = state
        self.numbers += 1
        self.told.append(Receipt(self.numbers, execution, "", state, 1, 0, now_ms))


class Scene:
    """The fleet, who of it is off, and the coordinator."""

    def __init__(self, fleet: Fleet, broken: set[int], off: set[int]) -> None:
        self.fleet = fleet
        self.gateways = [Gateway(f"a{n:02}", n in broken) for n in range(AGENTS)]
        self.off = {f"a{n:02}" for n in off}

    async def contacts(self, *, deaf: bool = False) -> None:
        """Let everybody who is on call once; `deaf`: each is cut off before he can tell."""
        self.fleet.now += CONFIRM_MS
        for one in self.gateways:
            if one.name in self.off:
                continue
            if one.told and not deaf:
                body = partial(
                    reconcile_receipts,
                    AgentId(one.name),
                    EPOCH,
                    one.told,
                    now_ms=WallMs(self.fleet.now),
                )
                await self.fleet.store.run(body, durable=False)
                one.told = []
            order = await self.fleet.sign(one.name)
            if order is not None:
                one.obey(order, self.fleet.now)
        await self.fleet.settle()

    async def days(self, number: int, *, calls: int = 3) -> None:
        for _ in range(number):
            await self.fleet.later(DAY_MS)
            for _ in range(calls):
                await self.contacts()

    async def executions(self, job: bytes):
        body = partial(list_executions, Wanted(job=job), before=b"\xff" * 16, size=500)
        return (await self.fleet.store.read(body))[0]

    async def report(self):
        view = await self.fleet.view()
        undo = await self.executions(parse_uuid(view.undo, what="a job")) if view.undo else []
        return report(await self.executions(self.fleet.job), undo)


@pytest.fixture(params=ENGINES)
async def fleet(request, tmp_path):
    async with open_store(request.param, tmp_path) as store:
        made = Fleet(store)
        await made.enroll(AGENTS, per_site=4)
        yield made


def check(scene: Scene, rows) -> None:
    """Compare each row of the report with the gateway itself."""
    truth = {one.name: one for one in scene.gateways}
    for row in rows:
        one = truth[row.agent]
        assert (row.did == "did it") == ("look" in one.did), (row, one)
        assert (row.undone == "did it") == ("undo" in one.did), (row, one)
        assert row.did.startswith("failed") == (one.breaks and bool(one.ended)), (row, one)
    silent = [one for one in scene.gateways if one.name not in {row.agent for row in rows}]
    assert not any(one.did for one in silent), "the report is silent on who did something"


async def test_a_hundred_gateways_a_failing_canary_a_rollback_and_the_return_of_a_third(fleet):
    canary = await _canary(fleet)
    broken = set(sorted(canary)[:4])
    off = set(sorted(set(range(AGENTS)) - canary)[:29]) | {max(canary)}
    scene = Scene(fleet, broken, off)

    # The canary fails, which is known only once enough of it were reached.
    await scene.contacts()
    await scene.contacts()
    view = await fleet.view()
    assert (view.state, view.undo is not None) == ("ROLLED_BACK", True)
    assert view.released == len(canary)

    # For days a third is off; whoever is on takes back what he had done.
    await scene.days(4)
    rows = await scene.report()
    assert Counter(row.did.split(" (")[0] for row in rows)["failed"] == 4
    check(scene, rows)

    # They return: nobody begins what was called off, and nothing is owed to anybody.
    scene.off = set()
    await scene.days(2)
    rows = await scene.report()
    check(scene, rows)
    assert len(rows) == len(canary)
    for one in scene.gateways:
        assert one.did in ([], ["look", "undo"]), "a device was left with half of it"
        assert not one.told


async def test_the_next_attempt_reaches_everybody_though_a_third_returns_only_after_days(fleet):
    canary = await _canary(fleet)
    off = set(range(0, AGENTS, 3)) - set(sorted(canary)[:7])
    scene = Scene(fleet, set(), off)
    await scene.days(2)
    assert (await fleet.view()).state == "RUNNING"
    scene.off = set()
    await scene.days(8)
    rows = await scene.report()
    check(scene, rows)
    assert len(rows) == AGENTS
    assert {row.did for row in rows} == {"did it"}
    assert all(one.did == ["look"] for one in scene.gateways), "each did it, once"
    assert (await fleet.view()).state == "FINISHED"
    assert all(set(one.ended.values()) <= TERMINAL_EXECUTION for one in scene.gateways)


async def _canary(fleet: Fleet) -> set[int]:
    await fleet.submit(rollout=ROLLOUT, gate=GATE, compensation=UNDO, expires_in_s=60 * 86_400)
    return {int(name[1:]) for name in await fleet.states()}
