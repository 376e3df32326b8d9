"""Gates, rates and cohorts: what no fleet and no order of events may change.

Each is named after the defect of a peer that it prevents.
"""

import math
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from coordinator.core.caps import MINUTE_MS, most_open, note_release, rate_per_minute, room
from coordinator.core.cohorts import Candidate, plan
from coordinator.core.gates import Tally, at_least, judge, tripped
from coordinator.core.rollout_policy import (
    Criterion,
    ErrorAction,
    FailureType,
    Gate,
    Policy,
    Progress,
    Ramp,
    Stage,
)
from shared.model.job import ExecutionState

COUNT = st.integers(0, 60)


@st.composite
def gates(draw):
    error = draw(st.sampled_from([0, 1, 5, 20, 50]))
    return Gate(
        success_percentage=draw(st.sampled_from([0, 50, 80, 95, 100])) * (100 - error) / 100,
        error_percentage=error,
        confidence=draw(st.sampled_from([0, 0.5, 0.9, 0.99])),
        min_executed=draw(st.integers(1, 10)),
    )


@st.composite
def seen(draw):
    return Tally(
        unreached=draw(COUNT),
        at_work=draw(COUNT),
        succeeded=draw(COUNT),
        failed=draw(COUNT),
        silent=draw(st.integers(0, 5)),
    )


def planned_of(tally):
    return tally.expected + tally.silent


# --- gates (I3) -----------------------------------------------------------------------------------
@given(gates(), seen(), st.integers(1, 10_000))
def test_devices_that_are_off_never_make_a_failure_look_small(gate, tally, more):
    """HawkBit: its error threshold is a share of all targets of a group, offline ones too."""
    before = judge(gate, tally, planned_of(tally))
    off = Tally(
        unreached=tally.unreached + more,
        at_work=tally.at_work,
        succeeded=tally.succeeded,
        failed=tally.failed,
        silent=tally.silent,
    )
    after = judge(gate, off, planned_of(tally))
    assert after.bad == before.bad


@given(gates(), seen(), st.integers(1, 10_000))
def test_devices_that_are_off_never_make_a_stage_good(gate, tally, more):
    """AWS IoT Jobs: a rollout goes on by what is in progress, whether anything is heard or not."""
    off = Tally(
        unreached=tally.unreached + more,
        at_work=tally.at_work,
        succeeded=tally.succeeded,
        failed=tally.failed,
    )
    planned = tally.expected
    if judge(gate, off, planned).good:
        assert judge(gate, tally, planned).good


@given(gates(), seen())
def test_a_gate_never_says_two_things(gate, tally):
    said = judge(gate, tally, planned_of(tally))
    assert said.good + said.bad + said.settled <= 1
    assert said.words


@given(gates(), seen())
def test_a_stage_that_nobody_executed_is_never_good(gate, tally):
    """HawkBit: a group whose targets were all removed counts as finished without an error."""
    nobody = Tally(unreached=tally.unreached, silent=tally.silent + 1)
    assert not judge(gate, nobody, planned_of(nobody)).good


@given(gates(), seen())
def test_one_more_failure_never_makes_a_bad_stage_better(gate, tally):
    worse = Tally(
        unreached=tally.unreached,
        at_work=tally.at_work,
        succeeded=tally.succeeded,
        failed=tally.failed + 1,
    )
    planned = worse.expected
    if judge(gate, tally, planned).bad:
        assert judge(gate, worse, planned).bad


@given(st.integers(0, 200), st.integers(0, 200), st.sampled_from([0, 0.5, 0.8, 0.9, 0.99]))
def test_the_bound_is_a_share_and_grows_with_what_is_seen(hits, misses, confidence):
    of = hits + misses
    bound = at_least(hits, of, confidence)
    assert 0 <= bound <= (hits / of if of else 0) + 1e-12
    more = at_least(10 * hits, 10 * of, confidence)
    assert more >= bound - 1e-9


def test_the_gate_counts_in_the_way_that_its_page_says():
    gate = Gate(min_executed=5)
    assert judge(gate, Tally(failed=1, succeeded=4), 5).bad
    assert not judge(gate, Tally(failed=1, succeeded=19), 20).bad
    assert judge(gate, Tally(failed=1, succeeded=19), 20).good
    assert round(100 * at_least(1, 5, 0.9), 1) == 6.2
    assert round(100 * at_least(1, 20, 0.9), 1) == 1.5
    few = judge(gate, Tally(succeeded=6, unreached=4), 10)
    assert not few.good
    assert "4 were not reached" in few.words
    assert judge(gate, Tally(succeeded=60, unreached=40), 100).good


@given(st.dictionaries(st.sampled_from(list(ExecutionState)), st.integers(0, 30)))
def test_a_criterion_counts_its_own_kind_only(counts):
    """AWS IoT Jobs: REJECTED and TIMED_OUT of devices that never began count into ALL."""
    criterion = Criterion(FailureType.TIMED_OUT, 50, 4, ErrorAction.CANCEL)
    found = tripped([criterion], counts)
    neutral = {ExecutionState.CANCELED, ExecutionState.SUPERSEDED, ExecutionState.REMOVED}
    without = {state: number for state, number in counts.items() if state not in neutral}
    assert found == tripped([criterion], without)
    if found is not None:
        assert counts[ExecutionState.TIMED_OUT] > 0


# --- rates and shares (I4) ------------------------------------------------------------------------
@st.composite
def limits_of(draw):
    ramp = None
    if draw(st.booleans()):
        ramp = Ramp(draw(st.integers(1, 20)), draw(st.sampled_from([1, 1.5, 2, 10])), 3)
    return Policy(
        per_minute=draw(st.sampled_from([0, 1, 7, 60])),
        ramp=ramp,
        concurrent_percentage=draw(st.sampled_from([0, 10, 25, 100])),
    )


@given(
    limits_of(),
    st.lists(st.tuples(st.integers(0, 40_000), st.integers(0, 9)), max_size=40),
)
def test_no_span_of_a_minute_releases_more_than_the_rate(policy, moments):
    """AWS IoT Jobs: its rate is one of a clock's minute, so two bursts meet at its end."""
    progress, now_ms, open_now, succeeded = Progress(), 10**12, 0, 0
    released = []
    for gap_ms, ends in moments:
        now_ms += gap_ms
        ended = min(ends, open_now)
        open_now, succeeded = open_now - ended, succeeded + ended
        free = room(
            policy,
            progress.recent,
            members=200,
            open_now=open_now,
            succeeded=succeeded,
            now_ms=now_ms,
        )
        number = min(free.members, 200)
        progress = note_release(progress, now_ms, number)
        open_now += number
        assert len(progress.recent) <= 62
        released.append((now_ms, number))
        if policy.concurrent_percentage:
            assert open_now <= max(1, policy.concurrent_percentage * 2)
        rate = rate_per_minute(policy, succeeded)
        within = sum(n for at_ms, n in released if at_ms > now_ms - MINUTE_MS)
        assert not rate or within <= rate


@given(limits_of(), st.integers(0, 1000))
def test_a_rate_never_shrinks_with_success_nor_leaves_its_bound(policy, succeeded):
    rate = rate_per_minute(policy, succeeded)
    assert rate <= (policy.per_minute or math.inf)
    if rate:
        assert rate_per_minute(policy, succeeded + 1) >= rate
    assert most_open(policy, succeeded) >= 1


# --- cohorts (I10) --------------------------------------------------------------------------------
@st.composite
def fleets(draw):
    names = draw(st.lists(st.integers(0, 999), unique=True, max_size=60))
    labels = st.fixed_dictionaries(
        {"model": st.sampled_from("abc"), "link": st.sampled_from(["lte", "wire"])}
    )
    return [Candidate(f"a{one}", f"s{one % 7}", draw(labels)) for one in names]


STAGES = (
    Stage("canary", 5, 2, ("model", "link")),
    Stage("pilot", 40, 0, ("model",)),
    Stage("fleet", 100),
)


@given(fleets(), st.text(max_size=5), st.randoms(use_true_random=False))
def test_the_same_seed_and_fleet_give_the_same_cohorts(fleet, seed, chance):
    """Mender: phases draw devices anew, so a dry run says nothing about the real one."""
    first = plan(fleet, STAGES, seed)
    mixed = list(fleet)
    chance.shuffle(mixed)
    assert plan(mixed, STAGES, seed) == first


@given(fleets(), st.text(max_size=5))
def test_everybody_has_one_place_and_the_canary_has_every_kind(fleet, seed):
    """Azure IoT Hub, Mender: a canary of the newest devices alone says nothing about old ones."""
    members = plan(fleet, STAGES, seed)
    assert sorted(one.agent for one in members) == sorted(one.agent for one in fleet)
    canary = {one.agent for one in members if one.stage == 0}
    kinds = {(one.labels["model"], one.labels["link"]) for one in fleet}
    found = {(one.labels["model"], one.labels["link"]) for one in fleet if one.agent in canary}
    assert found == kinds
    assert len(canary) >= min(2, len(fleet))
    for stage in range(3):
        places = [one.place for one in members if one.stage == stage]
        assert places == list(range(len(places)))
    for site, number in Counter(one.site for one in members).items():
        ranks = sorted(one.rank for one in members if one.site == site)
        assert ranks == list(range(number))


@given(fleets())
def test_cumulative_shares_are_kept(fleet):
    members = plan(fleet, STAGES, "seed")
    upto = sum(one.stage <= 1 for one in members)
    kinds = len({(one.labels["model"], one.labels["link"]) for one in fleet})
    assert upto >= math.ceil(len(fleet) * 0.4) or upto == len(fleet)
    assert upto <= max(math.ceil(len(fleet) * 0.4), 2 + kinds) + 3
