"""Who pulls a file for its site: everybody comes to the same answer, and nobody waits for ever."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.artifacts import Span
from agent.core.neighbours import Await, Grown, Pull, Says, TakeFrom, advise, grown
from agent.services.sharing import read_ask
from shared import limits
from shared.clock import MonoMs
from shared.errors import RefusedError
from shared.trust.shared_file import site_mark

SIZE = 1_000_000
says = st.builds(
    Says,
    id=st.sampled_from("abcdef"),
    held=st.sampled_from([0, 10_000, 500_000, SIZE - 1]),
    able=st.booleans(),
    pulling=st.booleans(),
    metered=st.booleans(),
)
street = st.lists(says, min_size=1, max_size=5, unique_by=lambda one: one.id)


def told(houses: list[Says]) -> list[object]:
    """Return what each of them does when each hears all others."""
    return [
        advise(one, SIZE, [other for other in houses if other is not one], (), settled_in_ms=0)
        for one in houses
    ]


@given(street)
def test_at_most_one_of_those_who_may_pulls_and_somebody_always_goes_on(houses):
    advice = told(houses)
    able = [one for one, what in zip(houses, advice, strict=True) if one.able and what == Pull()]
    assert len(able) <= 1
    if any(one.able for one in houses):
        assert able or any(isinstance(what, TakeFrom) for what in advice)
    assert not all(isinstance(what, Await) for what in advice)


@given(street)
def test_who_pulls_goes_on_while_it_can(houses):
    held = [Says(one.id, 0, able=True, pulling=False, metered=one.metered) for one in houses]
    first = told(held).index(Pull())
    for index, one in enumerate(held):
        held[index] = Says(one.id, 0, able=True, pulling=index == first, metered=one.metered)
    assert told(held).index(Pull()) == first


def test_a_line_that_costs_nothing_goes_first():
    dear, free = Says("a", 9, able=True, metered=True), Says("b", 0, able=True)
    assert told([dear, free]) == [Await(limits.SHARE_LOOK_MS), Pull()]


def test_who_stands_still_is_not_waited_for():
    puller = Says("a", 0, able=True, pulling=True)
    mine = Says("b", 0, able=True)
    assert isinstance(advise(mine, SIZE, [puller], (), settled_in_ms=0), Await)
    assert advise(mine, SIZE, [puller], ["a"], settled_in_ms=0) == Pull()


def test_nothing_is_pulled_before_neighbours_could_answer_and_taken_at_once():
    whole = Says("a", SIZE)
    assert advise(Says("b", able=True), SIZE, [], (), settled_in_ms=70) == Await(70)
    assert advise(Says("b"), SIZE, [whole], (), settled_in_ms=70) == TakeFrom("a", SIZE)


def test_a_copy_stands_still_from_when_it_grew_last():
    first = grown(None, 5, MonoMs(10))
    assert grown(first, 5, MonoMs(20)) == first
    assert grown(first, 4, MonoMs(20)) == first
    assert grown(first, 6, MonoMs(20)) == Grown(6, MonoMs(20))


ASK = (
    b"GET /v1/shared/ab12 HTTP/1.1\r\nHost: x\r\n"
    b"Authorization: Outstation-Shared " + b"0" * 32 + b" " + b"1" * 64 + b"\r\n"
)


def test_a_request_is_read_as_it_is_written():
    ask = read_ask(ASK + b"\r\n")
    assert (ask.name, ask.nonce, ask.span, ask.wish) == ("ab12", bytes(16), None, "state")
    part = read_ask(ASK + b"Range: bytes=5-9\r\n\r\n")
    assert (part.span, part.wish) == (Span(5, 10), "bytes=5-9")


@pytest.mark.parametrize(
    "head",
    [
        b"",
        ASK,
        ASK.replace(b"GET", b"PUT") + b"\r\n",
        ASK.replace(b"shared", b"fetch") + b"\r\n",
        ASK.replace(b"111", b"11") + b"\r\n",
        ASK + b"Range: bytes=9-5\r\n\r\n",
        ASK + b"Range: bytes=0-4,6-9\r\n\r\n",
    ],
)
def test_what_is_no_request_of_a_gateway_is_refused(head):
    with pytest.raises(RefusedError):
        read_ask(head)


@given(st.binary(max_size=300))
def test_no_bytes_upset_whoever_is_asked(data):
    for head in (data, ASK + data, ASK + data + b"\r\n\r\n"):
        try:
            read_ask(head)
        except RefusedError:
            continue


def test_a_mark_tells_sites_and_fleets_apart():
    marks = {site_mark(fleet, site) for fleet in (b"f", b"g") for site in ("north", "south")}
    assert len(marks) == 4
