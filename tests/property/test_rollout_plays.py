"""Rollouts played over a real store: agents answer, vanish and return, people steer, time passes.

After every move the counts are what the executions say, no limit is exceeded, and what has ended
releases nobody. Each test is named after the defect of a peer that it prevents.
"""

import asyncio
import tempfile
from collections import Counter
from functools import partial
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coordinator.core.ports import fetch
from coordinator.core.rollout_policy import LOST
from coordinator.store.sqlite import SqliteStore
from coordinator.transactions.dispatch import load
from coordinator.transactions.rollouts_steer import NotNowError
from shared.model.job import ExecutionState
from tests.length import examples
from tests.rollout_fleet import CANARY, DAY_MS, NOW, UNDO, Fleet

AGENTS = 8
_X = ExecutionState
OVER = {"FINISHED", "STOPPED", "ROLLED_BACK", "EXPIRED"}
MOVES = st.one_of(
    st.tuples(
        st.just("tell"),
        st.integers(0, AGENTS - 1),
        st.sampled_from(
            [_X.DELIVERED, _X.IN_PROGRESS, _X.SUCCEEDED, _X.SUCCEEDED, _X.FAILED, _X.TIMED_OUT]
        ),
    ),
    st.tuples(st.just("sign"), st.integers(0, AGENTS - 1)),
    st.tuples(
        st.just("later"), st.sampled_from([1_000, 30_000, 60_000, 3_600_000, DAY_MS, 3 * DAY_MS])
    ),
    st.tuples(st.just("ask"), st.sampled_from(["pause", "resume", "resume", "advance", "advance"])),
    st.tuples(st.just("end"), st.sampled_from(["cancel", "rollback"])),
)
POLICIES = st.fixed_dictionaries(
    {
        "rollout": st.fixed_dictionaries(
            {
                "stages": st.sampled_from([[], CANARY]),
                "maximum_per_minute": st.sampled_from([0, 2, 5]),
                "max_concurrent_per_site": st.sampled_from([0, 1]),
                "max_concurrent_percentage": st.sampled_from([0, 50]),
            }
        ),
        "gate": st.fixed_dictionaries(
            {
                "min_executed": st.sampled_from([1, 2]),
                "reach_deadline": st.just("P1D"),
                "stragglers": st.sampled_from(["wait", "carry_forward", "drop"]),
                "error_action": st.sampled_from(["pause", "cancel", "rollback"]),
                "soak_minutes": st.sampled_from([0, 60]),
            }
        ),
        "deadlines": st.sampled_from([{}, {"contact_within": "P2D", "complete_within": "P4D"}]),
        "compensation": st.just(UNDO),
    }
)
PLAYS = settings(max_examples=examples(25), suppress_health_check=[HealthCheck.too_slow])


def _truth(job):
    return (yield from fetch("executions_of_job", job, b"\xff" * 16, -1, "", 999))


def _site(agent: str) -> int:
    return int(agent[1:]) // 2


class Play:
    """One rollout and what a careful observer remembers of it."""

    def __init__(self, fleet: Fleet, policy: dict) -> None:
        self.fleet, self.policy = fleet, policy
        self.released: list[tuple[int, int]] = []
        self.proven: dict[str, _X] = {}
        self.known: set[bytes] = set()
        self.over = False

    async def move(self, kind: str, *what) -> None:
        fleet = self.fleet
        if kind == "tell":
            await self._tell(*what)
        elif kind == "sign":
            await fleet.sign(f"a{what[0]:02}")
        elif kind == "later":
            await fleet.later(*what)
        else:
            try:
                await fleet.ask(*what)
            except NotNowError:
                assert self.over
        await self.look()

    async def _tell(self, number: int, state: _X) -> None:
        agent = f"a{number:02}"
        at = (await self.fleet.states()).get(agent)
        if at is None or (at in TERMINAL and agent in self.proven):
            return
        if at in {_X.REMOVED, _X.CANCELED} and agent not in self.proven:
            return  # it was never signed, so no agent has it
        await self.fleet.tell(agent, state)
        if state in TERMINAL:
            self.proven[agent] = state

    async def look(self) -> None:
        """Compare the account with the executions themselves, and every limit with them."""
        fleet = self.fleet
        rows = await fleet.store.read(partial(_truth, fleet.job))
        loaded = await fleet.store.read(partial(load, fleet.job))
        assert loaded is not None
        counted = Counter(dict(loaded.facts.counts))
        counted[_X.OVERDUE] += counted.pop(LOST, 0)
        assert +counted == Counter(row[3] for row in rows)
        states = {row[1]: _X(row[3]) for row in rows}
        for agent, state in self.proven.items():
            assert states[agent] is state, "what an agent proved was replaced"
        new = [row for row in rows if row[0] not in self.known]
        self.known |= {row[0] for row in rows}
        if self.over:
            assert not new, "it has ended, and released somebody"
        if new:
            self.released += [(row[6], 1) for row in new]
        self._check_limits(states)
        view = await fleet.view()
        assert sum(stage.members for stage in view.stages) <= AGENTS
        assert view.released == sum(stage.members - stage.waiting for stage in view.stages)
        self.over = view.state in OVER

    def _check_limits(self, states: dict[str, _X]) -> None:
        rollout = self.policy["rollout"]
        if rate := rollout["maximum_per_minute"]:
            for at_ms, _ in self.released:
                within = sum(1 for other, _ in self.released if at_ms - 60_000 < other <= at_ms)
                assert within <= rate
        open_ = [agent for agent, state in states.items() if state not in TERMINAL]
        if rollout["max_concurrent_percentage"]:
            assert len(open_) <= AGENTS // 2
        if rollout["max_concurrent_per_site"]:
            sites = Counter(map(_site, open_))
            assert not sites or max(sites.values()) == 1


TERMINAL = frozenset(state for state in _X if 10 <= state < _X.OVERDUE)


async def play(policy: dict, moves: list) -> Play:
    with tempfile.TemporaryDirectory() as folder:
        async with await SqliteStore.open(Path(folder) / "coordinator.db") as store:
            fleet = Fleet(store)
            await fleet.enroll(AGENTS)
            await fleet.submit(**policy, expires_in_s=30 * 86_400)
            made = Play(fleet, policy)
            await made.look()
            for move in moves:
                await made.move(*move)
            assert fleet.now >= NOW
            return made


@PLAYS
@given(POLICIES, st.lists(MOVES, max_size=25))
def test_no_limit_is_exceeded_and_no_fact_lost_or_counted_twice(policy, moves):
    """AWS IoT Jobs: late joiners pass its limits; hawkBit: counters drift from the actions."""
    asyncio.run(play(policy, moves))


@PLAYS
@given(POLICIES, st.lists(MOVES, max_size=10))
def test_a_fleet_that_succeeds_is_done_whatever_happened_before(policy, moves):
    """HawkBit, Mender: a group that waits for devices that went away never ends."""

    async def whole() -> None:
        with tempfile.TemporaryDirectory() as folder:
            async with await SqliteStore.open(Path(folder) / "coordinator.db") as store:
                fleet = Fleet(store)
                await fleet.enroll(AGENTS)
                await fleet.submit(**policy, expires_in_s=300 * 86_400)
                made = Play(fleet, policy)
                await made.look()
                for move in moves:
                    await made.move(*move)
                await _bring_to_its_end(made)

    asyncio.run(whole())


async def _bring_to_its_end(made: Play) -> None:
    fleet = made.fleet
    for _ in range(60):
        if made.over:
            return
        view = await fleet.view()
        if view.state == "PAUSED":
            await made.move("ask", "advance")
        for agent, state in (await fleet.states()).items():
            if state not in TERMINAL:
                await made.move("tell", int(agent[1:]), _X.SUCCEEDED)
        await made.move("later", 3_600_000)
    raise AssertionError("it never ends")
