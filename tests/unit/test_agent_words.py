"""What an agent says of itself before a contact: counted, within the budget, in nobody's way."""

import random
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from agent.core.budget import BudgetSettings
from agent.core.uplink import Answered, Delivered, Fault, LinkFailed
from agent.services.calendar import Calendar
from agent.services.contact import Contact
from agent.services.membership import Member, MemberContact
from agent.services.purse import Purse
from agent.services.speaker import Speaker
from shared import limits
from shared.errors import Reason, WorldError
from shared.trust.words import Wish
from tests.agent_parts import Fixed, HandClock
from tests.unit.trust_world import World, signer

HOUR_MS = 3_600_000
SPENT = 1_500
"""What a word costs beside its bytes, each way."""


@dataclass
class Door:
    """A way on which answers get lost, or are none."""

    silent: bool = True
    posts: int = 0
    cost: int = 0

    async def post(self, path: str, body: bytes, **_: Any) -> Delivered | LinkFailed:
        self.posts += 1
        if self.silent:
            self.cost += len(body) + SPENT
            return LinkFailed(fault=Fault.SILENT, detail="nothing came", up=len(body) + SPENT)
        self.cost += len(body) + 2 * SPENT
        return Delivered(body=b"what is this", up=len(body) + SPENT, down=SPENT)

    def present(self, certificate: Path) -> None:
        """Show nothing."""


@dataclass
class Site:
    """A member with a support bundle to bring, and what its contacts did."""

    contact: MemberContact
    member: Member
    door: Door
    clock: HandClock
    counted: list[int] = field(default_factory=list)
    contacts: int = 0

    async def hours(self, count: int) -> None:
        for _ in range(2 * count):
            await self.contact.run(seal=True, wait_s=0, budget=65_536, keep=True)
            self.clock.advance(HOUR_MS // 2)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    world, door, clock = World(), Door(), HandClock()
    enrolment: Any = SimpleNamespace(
        root=world.root,
        agent=world.name,
        labels={},
        leaving=False,
        labels_number=0,
        wanted_labels=dict,
    )
    key: Any = signer("agent")
    speaker = Speaker(enrolment=enrolment, key=key, root=lambda: world.root, door=door)
    guard: Any = SimpleNamespace(identity=None, wish=Wish.NONE, reply_hash=b"")
    member = Member(
        guard, speaker, tmp_path, labels={}, clock=clock, entropy=Fixed(), present=lambda: None
    )
    member.bundles.put("bundle", random.Random(1).randbytes(100_000))
    nothing: Any = SimpleNamespace()
    calendar = Calendar(clock)
    calendar.raise_floor(clock.wall_ms())
    contact = MemberContact(
        member,
        guard=guard,
        store=nothing,
        jobs=nothing,
        telemetry=nothing,
        link=nothing,
        plan=nothing,
        clock=clock,
        calendar=calendar,
    )
    contact.purse = Purse(BudgetSettings(day_bytes=100_000), clock=clock, calendar=calendar)
    found = Site(contact, member, door, clock)

    async def run(self: Contact, **options: Any) -> Answered:
        found.contacts += 1
        return Answered(left=False, progress=False)

    async def count(self: Contact, end: Delivered | LinkFailed) -> None:
        found.counted.append(end.up + end.down)
        self.purse.charge(end.up + end.down)

    monkeypatch.setattr(Contact, "run", run)
    monkeypatch.setattr(Contact, "_count", count)
    return found


@pytest.mark.parametrize("silent", [True, False])
async def test_a_bundle_that_does_not_get_through_is_counted_and_holds_up_no_contact(site, silent):
    site.door.silent = silent
    await site.hours(240)
    assert site.contacts == 480
    assert sum(site.counted) == site.door.cost > 0
    assert site.door.posts <= 16, "each try comes after twice the time, up to a day"


async def test_a_bundle_waits_where_bytes_are_short_from_piece_to_piece(site, monkeypatch):
    heard = []

    async def send(self: Speaker, envelope: bytes) -> object:
        heard.append(len(envelope))
        self.toll.add(Delivered(body=b"", up=len(envelope), down=SPENT))
        return SimpleNamespace(certificate=b"")

    monkeypatch.setattr(Speaker, "send", send)
    await site.hours(1)
    assert 75_000 <= sum(site.counted) < 75_000 + 2 * limits.SUPPORT_PART_BYTES
    assert site.member.bundles.next() is not None
    pieces = len(heard)
    await site.hours(1)
    assert len(heard) == pieces
    site.clock.advance(24 * HOUR_MS)
    await site.hours(1)
    assert site.member.bundles.next() is None
    assert len(heard) == -(-100_000 // limits.SUPPORT_PART_BYTES), "no piece twice"


async def test_a_word_without_an_answer_is_counted_although_it_keeps_the_contact_back(site):
    site.member.bundles.drop(site.member.bundles.next()[0])
    site.member._wanted = {"hall": "b"}
    end = await site.contact.run(seal=True, wait_s=0, budget=65_536, keep=True)
    assert isinstance(end, LinkFailed)
    assert (site.contacts, sum(site.counted)) == (0, site.door.cost)
    assert end.up == site.door.cost


async def test_what_is_said_after_a_contact_is_counted_and_a_disk_that_fails_ends_nothing(
    site, monkeypatch
):
    site.member.bundles.drop(site.member.bundles.next()[0])
    site.member._speaker.enrolment.leaving = True
    await site.contact.run(seal=True, wait_s=0, budget=65_536, keep=True)
    assert (site.contacts, sum(site.counted)) == (1, site.door.cost)

    async def full(self: Contact, end: object) -> None:
        raise WorldError(Reason.STORE_FULL, "no room")

    monkeypatch.setattr(Contact, "_count", full)
    end = await site.contact.run(seal=True, wait_s=0, budget=65_536, keep=True)
    assert isinstance(end, Answered)
