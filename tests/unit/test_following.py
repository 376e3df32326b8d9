"""Which attached device a candidate says it is, and when it is believed."""

from dataclasses import replace

import pytest

from agent.core.adopted import Adopted
from agent.core.candidates import Candidate
from agent.core.following import Resident, claims_of, marked, verdict
from shared.model.candidate import Spot
from shared.model.matching import Match
from tests.agent_parts import PUMP

PLAIN = replace(PUMP, match=Match(vendor=("acme*",), firmware=("1.0",)))


def resident(device: str = "pump-7", address: int = 7, serial: str = "SN-7") -> Resident:
    adopted = Adopted(
        bus="line", address=address, profile="00", poll_interval_ms=1000, serial=serial
    )
    return Resident(device=device, adopted=adopted, profile=PLAIN)


def at(place: str, serial: str = "SN-7", *, misses: int = 0, vendor: str = "Acme AG") -> Candidate:
    return Candidate(
        way="modbus",
        place=place,
        vendor=vendor,
        firmware="2.0",
        serial=serial,
        misses=misses,
        first_ms=1,
        seen_ms=1,
    )


def claiming(*known: Candidate, residents: tuple[Resident, ...] = (resident(),)) -> list[str]:
    met = [one.spot for one in known]
    return [one.place for claim in claims_of(residents, known, met=met) for one in claim.by]


def test_a_serial_number_and_what_does_not_change_of_a_rule_tell_who_it_is():
    assert claiming(at("other/9"), at("other/8", "SN-8")) == ["other/9"]
    assert claiming(at("other/9", vendor="Bolt")) == []
    assert claiming(at("other/9", ""), residents=(resident(serial=""),)) == []


def test_who_did_not_answer_in_this_look_is_nobody():
    assert claims_of([resident()], [at("other/9")], met=[]) == []
    assert claiming(at("other/9", misses=2)) == []


@pytest.mark.parametrize(
    ("at_home", "part"),
    [
        ("nobody", ""),
        ("another", ""),
        ("itself", "answers at its old place too"),
        ("nameless", "tells no serial number"),
    ],
)
def test_it_is_followed_only_if_its_old_place_says_nothing_against_it(at_home, part):
    (claim,) = claims_of([resident()], [at("other/9")], met=[("modbus", "other/9")])
    why = verdict(claim, at_home, [resident()])
    assert part in why
    assert bool(why) == bool(part)


def test_two_places_and_two_devices_of_one_serial_number_are_in_doubt():
    two = [at("other/9"), at("third/9")]
    (claim,) = claims_of([resident()], two, met=[one.spot for one in two])
    assert "2 places" in verdict(claim, "nobody", [resident()])
    twins = [resident(), resident("pump-8", 8)]
    (claim, _) = claims_of(twins, two[:1], met=[two[0].spot])
    assert "another attached device" in verdict(claim, "nobody", twins)


def test_a_doubt_is_told_once_and_taken_back_when_it_is_over():
    spot: Spot = ("modbus", "other/9")
    (told,) = marked([at("other/9")], {spot: "pump-7"}, met=[spot])
    assert (told.device, told.change, told.told_ms) == ("pump-7", "claims", 0)
    (again,) = marked([told], {spot: "pump-7"}, met=[spot])
    assert again is told
    (unseen,) = marked([told], {}, met=[])
    assert unseen is told, "of whom nobody looked at nothing new is known"
    (over,) = marked([told], {}, met=[spot])
    assert over.device == ""
