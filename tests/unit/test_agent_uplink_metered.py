"""Contacts where bytes cost: readings wait until they are worth one, silence has an end."""

from dataclasses import replace

from agent.core.settings import METERED_SYNC_INTERVAL_MS, UplinkSettings
from agent.core.uplink import (
    CONTACT_BYTES,
    WORTH_BYTES,
    Answered,
    Fault,
    LinkFailed,
    after_contact,
    begun,
    first_contact,
    next_contact,
    nudged,
    weighed,
)
from shared.clock import MonoMs

METERED = UplinkSettings(metered=True, sync_interval_ms=METERED_SYNC_INTERVAL_MS)
IDLE = Answered(left=False, progress=True)
LOST = LinkFailed(fault=Fault.UNREACHABLE)
T0, SOON = MonoMs(1_000_000), MonoMs(1_300_000)
QUIET_UNTIL = MonoMs(T0 + METERED_SYNC_INTERVAL_MS)


def after(end, *, settings=METERED, state=None):
    """Return the state once a contact ended so at T0."""
    state = begun(state or first_contact(settings, T0, fraction=0))
    plan = next_contact(state, settings, T0)
    return after_contact(state, settings, end, T0, plan=plan, fraction=0.5)


def test_readings_call_once_they_are_worth_it_and_are_sealed_for_it():
    light, heavy = (weighed(after(IDLE), size) for size in (WORTH_BYTES - 1, WORTH_BYTES))
    assert next_contact(light, METERED, SOON).at_ms == QUIET_UNTIL
    plan = next_contact(heavy, METERED, SOON)
    assert (plan.at_ms, plan.seal, plan.wait_s) == (SOON, True, 0)
    assert WORTH_BYTES == 4 * CONTACT_BYTES


def test_silence_ends_after_the_interval_whatever_waits():
    plan = next_contact(after(IDLE), METERED, SOON)
    assert (plan.at_ms, plan.seal) == (QUIET_UNTIL, True)


def test_a_contact_takes_along_what_was_weighed():
    state = begun(weighed(after(IDLE), WORTH_BYTES))
    assert next_contact(state, METERED, SOON).at_ms == QUIET_UNTIL


def test_what_is_weighed_during_a_contact_counts_for_the_next():
    during = weighed(begun(weighed(after(IDLE), WORTH_BYTES)), 2 * WORTH_BYTES)
    plan = next_contact(during, METERED, SOON)
    done = after_contact(during, METERED, IDLE, SOON, plan=plan, fraction=0.5)
    assert next_contact(done, METERED, SOON).at_ms == SOON


def test_a_heavy_backlog_does_not_hurry_a_link_that_is_down():
    failed = after(LOST)
    assert next_contact(weighed(failed, WORTH_BYTES), METERED, T0).at_ms == failed.due_ms > T0


def test_weight_means_nothing_where_bytes_are_free():
    free = UplinkSettings()
    state = weighed(after(IDLE, settings=free), 100 * WORTH_BYTES)
    assert next_contact(state, free, SOON).at_ms == T0 + free.sync_interval_ms


def test_an_alarm_does_not_wait_for_weight():
    assert next_contact(nudged(after(IDLE), SOON, urgent=True), METERED, SOON).at_ms == SOON


def test_quiet_that_the_coordinator_asked_for_outranks_weight():
    state = replace(weighed(after(IDLE), WORTH_BYTES), blocked_until_ms=MonoMs(SOON + 60_000))
    assert next_contact(state, METERED, SOON).at_ms == SOON + 60_000
