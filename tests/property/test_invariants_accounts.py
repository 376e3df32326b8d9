"""Receipts over two roads into a real store: each counts once, and what was seen is what stands.

A rollout's agents tell what they did; the network and a stick carry it in pieces, in any order and
as often as they like, while the coordinator presumes OVERDUE whenever its time comes. In the end
the account is that of the agents. See `test_invariants` for the other promises.
"""

import asyncio
import tempfile
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.core.ports import fetch
from coordinator.core.rollout_policy import LOST
from coordinator.store.sqlite import SqliteStore
from coordinator.transactions.dispatch import load
from coordinator.transactions.receipts import reconcile_receipts
from shared.clock import WallMs
from shared.ids import AgentId
from shared.model.job import TERMINAL_EXECUTION, ExecutionState
from shared.wire.messages import Receipt
from tests.length import examples
from tests.rollout_fleet import DAY_MS, EPOCH, Fleet

_X = ExecutionState
AGENTS = 4
WALKS = st.sampled_from(
    [
        [_X.DELIVERED],
        [_X.DELIVERED, _X.IN_PROGRESS],
        [_X.DELIVERED, _X.IN_PROGRESS, _X.SUCCEEDED],
        [_X.DELIVERED, _X.IN_PROGRESS, _X.VERIFYING, _X.FAILED],
        [_X.DELIVERED, _X.HELD, _X.IN_PROGRESS, _X.TIMED_OUT],
        [_X.REJECTED],
    ]
)
ROADS = st.lists(
    st.one_of(
        st.tuples(st.just("bring"), st.integers(0, AGENTS - 1), st.integers(0, 3), st.booleans()),
        st.tuples(st.just("later"), st.sampled_from([60_000, DAY_MS, 2 * DAY_MS])),
    ),
    max_size=20,
)
"""Whose pieces come (from which of its facts on, backwards or not), and how time passes."""
PLAYS = settings(max_examples=examples(12))


async def play(walks: list[list[_X]], roads: list[Any], *, last: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with await SqliteStore.open(Path(folder) / "coordinator.db") as store:
            fleet = Fleet(store)
            await fleet.enroll(AGENTS)
            deadlines = {"contact_within": "P1D", "complete_within": "P3D"}
            await fleet.submit(rollout={}, deadlines=deadlines, expires_in_s=300 * 86_400)
            facts = await _facts(fleet, walks)
            for what, *how in [*roads, *([("later", 4 * DAY_MS)] if last else [])]:
                if what == "later":
                    await fleet.later(*how)
                else:
                    number, first, backwards = how
                    await _bring(fleet, number, facts[number][first:][:: -1 if backwards else 1])
            # Whatever got lost on one road comes on the other in the end.
            for number in reversed(range(AGENTS)):
                await _bring(fleet, number, facts[number])
            await _check(fleet, walks, facts)


async def _facts(fleet: Fleet, walks: list[list[_X]]) -> list[list[Receipt]]:
    return [
        [
            Receipt(number, await fleet.execution(f"a{agent:02}"), "", state, 1, 0, fleet.now)
            for number, state in enumerate(walk, start=1)
        ]
        for agent, walk in enumerate(walks)
    ]


async def _bring(fleet: Fleet, number: int, facts: list[Receipt]) -> None:
    agent = AgentId(f"a{number:02}")
    body = partial(reconcile_receipts, agent, EPOCH, facts, now_ms=WallMs(fleet.now), oldest=1)
    await fleet.store.run(body, durable=False)
    await fleet.settle()


async def _check(fleet: Fleet, walks: list[list[_X]], facts: list[list[Receipt]]) -> None:
    seen = {f"a{number:02}": walk[-1] for number, walk in enumerate(walks)}
    states = await fleet.states()
    for agent, state in seen.items():
        # Work that goes on for too long may be presumed OVERDUE again; an end is an end.
        may_be = {state} if state in TERMINAL_EXECUTION else {state, _X.OVERDUE}
        assert states[agent] in may_be, f"{agent} told {state.name}, and that is not what stands"
    loaded = await fleet.store.read(partial(load, fleet.job))
    assert loaded is not None
    counted = loaded.facts.counts
    counted[_X.OVERDUE] += counted.pop(LOST, 0)
    assert +counted == Counter(states.values())
    for number, told in enumerate(facts):
        rows = await fleet.store.read(
            partial(fetch, "receipts_of_execution", f"a{number:02}", told[0].execution, 1_000)
        )
        assert [row[0] for row in rows[::-1]] == [one.number for one in told], "kept once each"


@PLAYS
@given(st.lists(WALKS, min_size=AGENTS, max_size=AGENTS), ROADS)
def test_over_any_roads_each_receipt_counts_once_and_none_is_lost(walks, roads):
    """rauc-hawkbit-updater #161: what could not be told at once is never told; I1."""
    asyncio.run(play(walks, roads, last=False))


@PLAYS
@given(st.lists(WALKS, min_size=AGENTS, max_size=AGENTS), ROADS)
def test_what_an_agent_saw_replaces_what_was_presumed_however_late(walks, roads):
    """AWS IoT Jobs: what its server called TIMED_OUT stays so, and the late result is refused; I2.

    At the end everything is presumed OVERDUE that was not heard of, and only then it is told.
    """
    asyncio.run(play(walks, roads, last=True))
