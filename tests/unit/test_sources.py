"""What comes unsigned is bounded by address; who proved himself from there is not held up by it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.services.sources import Sources, source_of
from shared import limits
from shared.errors import Reason, RefusedError
from shared.ids import AgentId
from tests.agent_parts import HandClock

SITE, PUMP, OTHER = "192.0.2.7", AgentId("pump"), AgentId("other")


@pytest.fixture
def clock():
    return HandClock()


@pytest.fixture
def sources(clock):
    return Sources(clock)


def spend(sources, source=SITE, agent=OTHER):
    for _ in range(limits.SOURCE_FAILURES):
        sources.admit(source, agent)
        sources.fail(source, agent)


def is_admitted(sources, source=SITE, agent=OTHER):
    try:
        sources.admit(source, agent)
    except RefusedError as error:
        return error.reason is not Reason.CONTACTS_CROWDED
    return True


def test_who_has_failed_too_often_is_refused_until_time_has_passed(sources, clock):
    spend(sources)
    assert not is_admitted(sources)
    clock.advance(int(1000 / limits.SOURCE_FAILURES_PER_S) - 1)
    assert not is_admitted(sources)
    clock.advance(1)
    assert is_admitted(sources)
    sources.fail(SITE, OTHER)
    assert not is_admitted(sources)


def test_another_address_is_not_held_up(sources):
    spend(sources)
    assert is_admitted(sources, "192.0.2.8")


def test_gateways_behind_one_address_that_prove_themselves_are_never_counted(sources):
    for number in range(10 * limits.SOURCE_FAILURES):
        agent = AgentId(f"gateway-{number % 100}")
        sources.admit(SITE, agent)
        sources.prove(SITE, agent)
    assert len(sources) == 0


def test_who_proved_himself_from_an_address_is_not_held_up_by_strangers_there(sources):
    sources.prove(SITE, PUMP)
    spend(sources)
    assert is_admitted(sources, SITE, PUMP)
    assert not is_admitted(sources, SITE, OTHER)


def test_a_name_that_proved_itself_has_no_more_failures_than_a_stranger(sources):
    sources.prove(SITE, PUMP)
    spend(sources, SITE, PUMP)
    assert not is_admitted(sources, SITE, PUMP)
    assert is_admitted(sources, SITE, OTHER)


def test_a_name_helps_nobody_at_an_address_where_it_never_proved_itself(sources):
    sources.prove("192.0.2.8", PUMP)
    spend(sources)
    assert not is_admitted(sources, SITE, PUMP)


def test_where_nobody_knows_who_calls_nothing_is_bound(sources):
    spend(sources, "")
    assert is_admitted(sources, "")
    assert len(sources) == 0


def test_addresses_that_failed_are_bounded_in_number(sources, monkeypatch):
    monkeypatch.setattr(limits, "SOURCES_WATCHED", 3)
    spend(sources)
    for last in range(2):
        sources.fail(f"198.51.100.{last}", OTHER)
    assert len(sources) == 3
    assert not is_admitted(sources)
    sources.fail("198.51.100.2", OTHER)
    assert len(sources) == 3
    assert is_admitted(sources), "the one that failed longest ago went"


@given(st.ip_addresses())
def test_every_address_has_a_source_unless_it_is_this_machine(address):
    assert (source_of(str(address)) == "") == (source_of(source_of(str(address))) == "")


@pytest.mark.parametrize(
    ("address", "source"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8::1", "2001:db8::"),
        ("2001:db8::ffff:1", "2001:db8::"),
        ("fe80::1%eth0", "fe80::"),
        ("127.0.0.1", ""),
        ("::1", ""),
        ("", ""),
        ("pump-station", ""),
    ],
)
def test_what_is_bound_together(address, source):
    assert source_of(address) == source
