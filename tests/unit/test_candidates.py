"""Devices that were found: new, changed, lost, returned, moved; what a receipt tells of them."""

import msgspec
import pytest

from agent.core.candidates import Candidate, seen, to_tell
from shared import limits
from shared.model.candidate import MARK, CandidateWord, Sighting, Spot, read_words
from shared.model.job import Value


def at(unit: int, serial: str = "", model: str = "P-100") -> Sighting:
    return Sighting(way="modbus", place=f"rs485/{unit}", vendor="Acme", model=model, serial=serial)


def spots(*units: int) -> list[Spot]:
    return [("modbus", f"rs485/{unit}") for unit in units]


class Memory:
    """A lookout's memory, one look after the other."""

    def __init__(self) -> None:
        self.known: list[Candidate] = []
        self.now_ms = 1_000

    def look(self, *sightings: Sighting, silent: tuple[int, ...] = ()) -> dict[str, CandidateWord]:
        looked = [one.spot for one in sightings] + spots(*silent)
        self.now_ms += 1_000
        self.known = seen(self.known, sightings, looked=looked, now_ms=self.now_ms)
        words, self.known = to_tell(self.known, now_ms=self.now_ms, room=10_000)
        return {word.place: word for word in words}


def changes(words: dict[str, CandidateWord]) -> dict[str, str]:
    return {place: word.change for place, word in words.items()}


def test_a_device_is_new_once_and_then_the_same():
    memory = Memory()
    assert changes(memory.look(at(5))) == {"rs485/5": "new"}
    assert changes(memory.look(at(5))) == {"rs485/5": "same"}


def test_one_missed_answer_is_no_loss_and_two_are():
    memory = Memory()
    memory.look(at(5))
    assert changes(memory.look(silent=(5,))) == {"rs485/5": "same"}
    assert changes(memory.look(silent=(5,))) == {"rs485/5": "lost"}
    assert changes(memory.look(at(5))) == {"rs485/5": "returned"}


def test_a_place_that_was_not_asked_is_not_lost():
    memory = Memory()
    memory.look(at(5))
    for _ in range(3):
        assert changes(memory.look(silent=(6, 7))) == {"rs485/5": "same"}


def test_another_device_at_the_place_is_a_change_and_after_a_loss_a_new_one():
    memory = Memory()
    memory.look(at(5))
    assert changes(memory.look(at(5, model="P-200"))) == {"rs485/5": "changed"}
    memory.look(silent=(5,))
    memory.look(silent=(5,))
    assert changes(memory.look(at(5, model="P-300"))) == {"rs485/5": "new"}


@pytest.mark.parametrize("found_first", [True, False])
def test_who_tells_a_serial_keeps_its_identity_when_it_moves(found_first):
    memory = Memory()
    memory.look(at(5, "SN-1"))
    first_ms = memory.known[0].first_ms
    if found_first:
        assert changes(memory.look(at(9, "SN-1")))["rs485/9"] == "new"
        memory.look(silent=(5,))
        words = memory.look(silent=(5,))
    else:
        memory.look(silent=(5,))
        memory.look(silent=(5,))
        words = memory.look(at(9, "SN-1"))
    assert changes(words) == {"rs485/9": "moved"}
    assert words["rs485/9"].before == "rs485/5"
    assert [one.first_ms for one in memory.known] == [first_ms]
    assert changes(memory.look(at(9, "SN-1"))) == {"rs485/9": "same"}


def test_a_serial_that_two_devices_tell_tells_nothing():
    memory = Memory()
    memory.look(at(5, "0000"), at(6, "0000"), at(7, "0000"))
    memory.look(at(6, "0000"), at(7, "0000"), silent=(5,))
    words = memory.look(at(6, "0000"), at(7, "0000"), silent=(5,))
    assert changes(words) == {"rs485/5": "lost", "rs485/6": "same", "rs485/7": "same"}


def test_what_a_receipt_has_no_room_for_comes_with_the_next_one_and_then_again():
    known = seen([], [at(n) for n in range(1, 8)], looked=[], now_ms=1)
    told: list[str] = []
    for now_ms in (2, 3, 4):
        words, known = to_tell(known, now_ms=now_ms, room=420)
        assert 0 < len(words) < 7
        told += [word.place for word in words]
    assert {f"rs485/{n}" for n in range(1, 8)} <= set(told)
    assert len(told) > 7, "who lost what it was told hears it again"


def test_memory_is_bounded_and_the_lost_go_first():
    memory = Memory()
    memory.look(at(1))
    memory.look(silent=(1,))
    memory.look(silent=(1,))
    many = [
        Sighting(way="mdns", place=f"10.0.{n >> 8}.{n & 255}:80") for n in range(limits.CANDIDATES)
    ]
    memory.look(*many)
    assert len(memory.known) == limits.CANDIDATES
    assert not any(one.lost for one in memory.known)


def test_what_devices_say_is_shortened():
    known = seen([], [at(1, "S" * 500)], looked=[], now_ms=1)
    assert len(known[0].serial) == limits.CANDIDATE_CHARS


def test_words_are_read_from_a_result_and_rubbish_is_left_out():
    word = CandidateWord("modbus", "rs485/5", vendor="Acme")
    text = msgspec.json.encode(word).decode()
    result: dict[str, Value] = {
        f"look.{MARK}0": text,
        f"look.{MARK}1": '["modbus"]',
        f"look.{MARK}2": "not json",
        f"look.{MARK}3": 5,
        f"look.{MARK}4": text.replace("Acme", "A" * 200),
        "look.found": 1,
    }
    assert read_words(result) == [word]
