"""Clones: what proves one, what only looks like one, and what a quarantine stops."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from shared import limits
from shared.sync.incoming import (
    ADVANCES,
    BlockVerdict,
    Chain,
    LastReport,
    Memory,
    is_empty_contact,
    is_stray_answer,
    judge_block,
    judge_chain,
    may_grant,
    may_sign,
    remembered,
    wanted_again,
)
from shared.sync.ranges import Ranges
from shared.trust.documents import ECHO_BYTES, Report, document_hash
from shared.wire.messages import Announced, Receipt
from tests.chain_memory import placed
from tests.unit.trust_world import make_report

EPOCH, NEW_EPOCH = b"j" * 16, b"k" * 16
LAST = LastReport(9, b"nine", EPOCH)


def judge(last: LastReport | None = LAST, **given: Any) -> Chain:
    memory = Memory(
        here=given.pop("here", None),
        before=given.pop("before", None),
        left=given.pop("left", False),
        stray=given.pop("stray", False),
    )
    arrived: dict[str, Any] = {
        "counter": 10,
        "previous": b"nine",
        "digest": b"ten",
        "jobs_epoch": EPOCH,
    } | given
    return judge_chain(last, memory=memory, **arrived)


def test_the_first_report_and_each_that_follows_it_are_next() -> None:
    assert judge(None) is Chain.NEXT
    assert judge() is Chain.NEXT


def test_a_gap_is_no_offence() -> None:
    assert judge(counter=12, previous=b"eleven") is Chain.GAP


def test_the_last_report_again_is_a_repeat() -> None:
    assert judge(counter=9, previous=b"eight", digest=b"nine") is Chain.REPEAT


@pytest.mark.parametrize(
    "given",
    [
        {"counter": 9, "previous": b"eight", "digest": b"other nine"},
        {"counter": 10, "previous": b"other nine"},
        {"counter": 7, "digest": b"other seven", "here": b"seven"},
        {"counter": 7, "previous": b"other six", "before": b"six"},
        {"counter": 12, "previous": b"other eleven", "before": b"eleven"},
        {"stray": True},
        {"counter": 3, "stray": True},
    ],
)
def test_what_one_honest_machine_cannot_have_signed_is_a_clone(given: dict[str, Any]) -> None:
    assert judge(**given) is Chain.CLONE


def test_a_replay_of_an_old_report_puts_nobody_into_quarantine() -> None:
    """Whoever recorded a report could else stop the orders to a site whenever he likes."""
    assert judge(counter=5, digest=b"five", here=b"five", before=b"four", previous=b"four") is (
        Chain.STALE
    )
    assert judge(counter=2, digest=b"two", previous=b"one") is Chain.LATE


def test_a_declared_loss_of_the_store_is_no_offence_and_the_old_store_never_comes_back() -> None:
    assert judge(counter=1, previous=b"", jobs_epoch=NEW_EPOCH) is Chain.LATE
    assert judge(counter=2, previous=b"one", jobs_epoch=NEW_EPOCH, stray=True) is Chain.LOST
    after = LastReport(1, b"one", NEW_EPOCH)
    assert judge(after, left=True) is Chain.LATE
    assert judge(after, counter=9, digest=b"nine", here=b"nine", left=True) is Chain.STALE
    assert judge(after, counter=9, digest=b"other", here=b"nine", left=True) is Chain.CLONE
    assert judge(after, left=True, stray=True) is Chain.CLONE


def test_a_report_teaches_its_own_hash_and_its_predecessors() -> None:
    report = make_report(counter=7, previous=b"six")
    assert remembered(report, b"seven") == ((7, b"seven"), (6, b"six"))
    assert remembered(make_report(counter=1, previous=b""), b"one") == ((1, b"one"),)


def test_a_quarantine_stops_grants_and_nothing_else() -> None:
    granted = {chain for chain in Chain if may_grant(chain, attested=True, quarantined=False)}
    assert granted == {Chain.NEXT, Chain.GAP, Chain.REPEAT, Chain.LOST}
    for chain in Chain:
        assert not may_grant(chain, attested=True, quarantined=True)
        assert not may_grant(chain, attested=False, quarantined=False)
    assert {Chain.NEXT, Chain.GAP, Chain.LOST} == ADVANCES


def test_what_may_have_run_before_a_loss_is_not_signed_again() -> None:
    def ask(under: bytes | None, *, idempotent: bool = False) -> bool:
        return may_sign(signed_under=under, jobs_epoch=EPOCH, idempotent=idempotent)

    assert ask(None)
    assert ask(EPOCH)
    assert not ask(NEW_EPOCH)
    assert not ask(b""), "restored from a backup that never heard of the agent"
    assert ask(NEW_EPOCH, idempotent=True)


# --- two machines ---------------------------------------------------------------------------------
@dataclass
class Box:
    """A gateway as the chain sees it."""

    counter: int = 0
    previous: bytes = b""
    answered: bytes = b""
    epoch: bytes = EPOCH
    said: list[Report] = field(default_factory=list)

    def speak(self, marker: int) -> Report:
        self.counter += 1
        report = make_report(
            counter=self.counter,
            previous=self.previous,
            jobs_epoch=self.epoch,
            answered=self.answered,
            mono_ms=marker,
        )
        self.previous = digest_of(report)
        self.said.append(report)
        return report

    def copy(self) -> "Box":
        return Box(self.counter, self.previous, self.answered, self.epoch)


def digest_of(report: Report) -> bytes:
    return document_hash(repr(report).encode())


@dataclass
class Desk:
    """The coordinator's memory of one agent's chain."""

    last: LastReport | None = None
    known: dict[tuple[bytes, int], bytes] = field(default_factory=dict)
    left: set[bytes] = field(default_factory=set)
    strays: list[bytes] = field(default_factory=list)
    quarantined: bool = False
    now: int = 0

    def hear(self, report: Report, box: Box | None = None) -> Chain:
        digest = digest_of(report)
        chain = placed(self, report, digest)
        self.now += 1  # every answer tells the time, so no two are alike
        answer = document_hash(b"%d: answer to %s" % (self.now, digest))[:ECHO_BYTES]
        if chain in ADVANCES:
            if self.last is not None and self.last.jobs_epoch != report.jobs_epoch:
                self.left.add(self.last.jobs_epoch)
                self.strays.clear()
            self.last = LastReport(report.counter, digest, report.jobs_epoch)
            for number, known in remembered(report, digest):
                self.known[(report.jobs_epoch, number)] = known
        if is_stray_answer(chain):
            self.strays = [*self.strays, answer][-limits.STRAY_REPLIES :]
        self.quarantined |= chain is Chain.CLONE
        if box is not None:
            box.answered = answer
        return chain


def settled(contacts: int) -> tuple[Desk, Box]:
    desk, box = Desk(), Box()
    for n in range(contacts):
        assert desk.hear(box.speak(n), box) is Chain.NEXT
    return desk, box


def test_two_machines_with_one_key_are_found_at_the_first_report_after_both_spoke() -> None:
    desk, box = settled(5)
    clone = box.copy()
    assert desk.hear(box.speak(100), box) is Chain.NEXT
    assert desk.hear(clone.speak(200), clone) is Chain.CLONE
    assert desk.hear(box.speak(101), box) is Chain.NEXT
    assert desk.quarantined


def test_a_gateway_set_back_to_an_old_image_is_found_at_its_first_report() -> None:
    desk, box = settled(5)
    image = box.copy()
    for n in range(20):
        desk.hear(box.speak(10 + n), box)
    assert desk.hear(image.speak(999), image) is Chain.CLONE


def test_an_image_from_before_memory_is_found_at_its_second_report() -> None:
    desk, box = settled(5)
    image = box.copy()
    for n in range(20):
        desk.hear(box.speak(10 + n), box)
    desk.known.clear()
    assert desk.hear(image.speak(999), image) is Chain.LATE
    assert not desk.quarantined
    assert desk.hear(image.speak(1000), image) is Chain.CLONE


def test_a_thief_who_declares_a_store_lost_is_found_when_the_real_site_spoke_twice() -> None:
    desk, box = settled(5)
    thief = box.copy()
    thief.epoch, thief.counter, thief.previous = NEW_EPOCH, 0, b""
    assert desk.hear(thief.speak(1), thief) is Chain.LATE
    assert desk.hear(thief.speak(2), thief) is Chain.LOST
    assert desk.hear(box.speak(50), box) is Chain.LATE
    assert desk.hear(box.speak(51), box) is Chain.CLONE


def test_replaying_everything_an_agent_ever_said_quarantines_nobody() -> None:
    desk, box = settled(30)
    box.epoch = NEW_EPOCH
    assert desk.hear(box.speak(76), box) is Chain.LATE
    assert desk.hear(box.speak(77), box) is Chain.LOST
    for forget in (False, True):
        if forget:
            desk.known.clear()
        for report in box.said:
            assert desk.hear(report) in {Chain.STALE, Chain.LATE, Chain.REPEAT}
    assert not desk.quarantined
    assert desk.hear(box.speak(78), box) is Chain.NEXT


def test_a_replay_from_a_store_that_a_backup_does_not_know_quarantines_nobody() -> None:
    _, box = settled(3)
    old = list(box.said)
    box.epoch = NEW_EPOCH
    restored = Desk()
    assert restored.hear(box.speak(50), box) is Chain.NEXT
    for report in old:
        assert restored.hear(report) is Chain.LATE
    assert restored.hear(box.speak(51), box) is Chain.NEXT
    assert not restored.quarantined


def test_sticks_may_come_late_twice_and_in_any_order() -> None:
    desk, box = settled(3)
    on_sticks = [box.speak(n) for n in range(10, 16)]
    assert desk.hear(box.speak(20), box) is Chain.GAP
    verdicts = {desk.hear(on_sticks[n]) for n in (4, 0, 5, 2, 4, 1, 3, 0)}
    assert verdicts <= {Chain.LATE, Chain.STALE}
    assert not desk.quarantined
    assert desk.hear(box.speak(21), box) is Chain.NEXT


def test_a_coordinator_restored_from_a_backup_quarantines_nobody() -> None:
    desk, box = settled(5)
    backup = Desk(desk.last, dict(desk.known), set(desk.left), list(desk.strays))
    for n in range(10):
        desk.hear(box.speak(10 + n), box)
    assert backup.hear(box.speak(99), box) is Chain.GAP
    assert backup.hear(box.speak(100), box) is Chain.NEXT
    assert not backup.quarantined


# --- blocks ---------------------------------------------------------------------------------------
def test_in_quarantine_a_block_under_a_taken_number_is_kept_apart_and_not_refused() -> None:
    report = make_report(blocks=[Announced(4, b"mine")])
    given: dict[str, Any] = {"seq": 4, "epoch_matches": True, "digest": b"mine"}
    taken = given | {"received": Ranges.of([4]), "stored_digest": b"other"}
    assert judge_block(report, **taken) is BlockVerdict.CONFLICT
    assert judge_block(report, **taken, quarantined=True) is BlockVerdict.APART
    for free in (
        given | {"received": Ranges(), "stored_digest": None},
        given | {"received": Ranges.of([4]), "stored_digest": b"mine"},
    ):
        plain = judge_block(report, **free)
        assert judge_block(report, **free, quarantined=True) is plain


def test_a_restored_coordinator_asks_again_for_what_its_backup_does_not_have() -> None:
    report = make_report(next_block=21, blocks=[Announced(20, b"d")], gone=[(7, 8), (3, 2)])
    assert wanted_again(report, Ranges.joined([(1, 5)])) == [(6, 6), (9, 19)]
    assert wanted_again(make_report(next_block=1), Ranges()) == []
    odd = Ranges.of(range(1, 1_000, 2))
    assert len(wanted_again(make_report(next_block=1_000), odd)) == limits.WANTED_RANGES


def test_an_agent_that_lost_its_counters_is_answered_at_once() -> None:
    assert is_empty_contact(make_report(), 0, has_bundle=False)
    for report in (
        make_report(attested=False),
        make_report(gone=[(1, 2)]),
        make_report(receipts=[Receipt(1, bytes(16), "", 2, 1, 0, 0)]),
    ):
        assert not is_empty_contact(report, 0, has_bundle=False)
