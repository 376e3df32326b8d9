"""An agent's silence and its return: told in pairs, whatever the clocks of those who tell say."""

from functools import partial

import pytest

from coordinator.core.presence import GRACE_MS
from coordinator.services.events import Teller
from coordinator.transactions.contact import Contact, record_contact
from shared.clock import WallMs
from tests.readings_office import AGENT, NOW, add_agent, report
from tests.readings_office import VirtualClock as StandingClock
from tests.stores import ENGINES, ask, open_store

HOUR_MS = 3_600_000


class VirtualClock(StandingClock):
    """A clock that tests set."""

    def __init__(self):
        self.now_ms = NOW

    def wall_ms(self):
        return self.now_ms


class Office:
    """A coordinator's store, with one agent that calls and one teller that looks."""

    def __init__(self, store):
        self.store, self.clock, self.number = store, VirtualClock(), 0
        self.teller = Teller(store, self.clock, lambda: None)

    async def look(self, at_ms):
        """Let the teller look, at a time by its own clock."""
        self.clock.now_ms = WallMs(at_ms)
        await self.teller.round()

    async def contact(self, at_ms):
        """Record a contact, at a time by the clock of whoever takes it in."""
        self.number += 1
        previous = bytes([self.number - 1]) * 32 if self.number > 1 else b""
        made = Contact(
            agent=AGENT,
            report=report([], counter=self.number, previous=previous),
            digest=bytes([self.number]) * 32,
            blocks=(),
            schemas=(),
            bytes_up=100,
            bytes_down=100,
            now_ms=WallMs(at_ms),
            with_orders=False,
        )
        await self.store.run(partial(record_contact, made), durable=False, agent=AGENT)

    async def told(self):
        found = await ask(self.store, "SELECT type FROM event ORDER BY number")
        return [kind for (kind,) in found if kind in {"agent.silent", "agent.online"}]


@pytest.fixture(params=ENGINES)
async def office(request, tmp_path):
    async with open_store(request.param, tmp_path) as store:
        await add_agent(store)
        made = Office(store)
        await made.contact(NOW)
        yield made


async def test_silence_and_return_are_told_in_turn(office):
    for at_ms in (NOW, NOW + HOUR_MS):
        await office.look(at_ms + GRACE_MS)
        await office.look(at_ms + HOUR_MS)
        await office.contact(at_ms + HOUR_MS)
        await office.contact(at_ms + HOUR_MS + 1_000)
    assert await office.told() == ["agent.silent", "agent.online"]


async def test_a_contact_timed_before_it_was_called_silent_ends_its_silence(office):
    await office.look(NOW + GRACE_MS + 1)
    await office.contact(NOW + GRACE_MS)
    assert await office.told() == ["agent.silent", "agent.online"]
    await office.look(NOW + HOUR_MS)
    assert (await office.told())[2:] == ["agent.silent"], "its next silence is told"


async def test_a_clock_that_jumped_ahead_and_was_set_back_costs_nobodys_next_silence(office):
    await office.look(NOW + 1_000 * HOUR_MS)
    await office.contact(NOW + 1_000)
    await office.look(NOW + HOUR_MS)
    assert await office.told() == ["agent.silent", "agent.online", "agent.silent"]


async def test_who_was_not_called_silent_does_not_return(office):
    await office.contact(NOW + HOUR_MS)
    assert await office.told() == [], "nobody was here to hear"
