"""Which attached device a candidate says it is, and whether it is believed. Pure.

Owns the judgement. A device is followed only if nothing speaks against it: it tells the serial
number that it told when it was adopted, fits its profile, alone, and where it stood there is nobody
any more, or another one that says so. Leaves out asking (`agent.services.follower`).
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec
from msgspec.structs import replace

from agent.core.adopted import Adopted
from agent.core.candidates import Candidate
from shared.model.candidate import Spot
from shared.model.identity import Expected
from shared.model.matching import NO_RULE, Match
from shared.model.profile import Profile

AtHome = Literal["nobody", "itself", "another", "nameless"]
"""Who answers where an attached device stood; ``nameless``: somebody who tells no serial number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resident:
    """A device that was attached from afar, as far as it can be told from others."""

    device: str
    adopted: Adopted
    profile: Profile

    @property
    def place(self) -> str:
        """Return where it is attached."""
        return f"{self.adopted.bus}/{self.adopted.address}"


@dataclass(frozen=True, slots=True)
class Claim:
    """Places that say they are one attached device."""

    resident: Resident
    by: tuple[Candidate, ...]


class Move(msgspec.Struct, frozen=True, kw_only=True):
    """One device on its way to another place."""

    device: str
    place: str
    before: str
    serial: str


def claims_of(
    residents: Sequence[Resident], known: Sequence[Candidate], *, met: Collection[Spot]
) -> list[Claim]:
    """Return who says it is whom.

    Args:
        residents: devices attached from afar.
        known: what is known after a look.
        met: who answered in it; nobody else is believed.
    """
    claims: list[Claim] = []
    for one in residents:
        said = one.adopted.serial
        by = tuple(each for each in known if each.spot in met and said and _is(one, each))
        if by:
            claims.append(Claim(one, by))
    return claims


def verdict(claim: Claim, at_home: AtHome, residents: Sequence[Resident]) -> str:
    """Return why a device is not followed; empty: it is."""
    serials = Counter(each.adopted.serial for each in residents)
    if serials[claim.resident.adopted.serial] > 1:
        return "another attached device has the same serial number"
    if len(claim.by) > 1:
        return f"{len(claim.by)} places tell its serial number"
    reasons: Mapping[AtHome, str] = {
        "nobody": "",
        "another": "",
        "itself": "it answers at its old place too",
        "nameless": "somebody answers at its old place and tells no serial number",
    }
    return reasons[at_home]


def marked(
    known: Sequence[Candidate], doubted: Mapping[Spot, str], *, met: Collection[Spot]
) -> list[Candidate]:
    """Return what is known with whom each candidate says it is, where that is in doubt.

    Args:
        known: what is known after a look.
        doubted: the device, by whoever claims to be it and is not believed.
        met: who answered in it; of all others nothing new is known.
    """
    after: list[Candidate] = []
    for one in known:
        device = doubted.get(one.spot, "")
        if device == one.device or one.spot not in met:
            after.append(one)
        elif device:
            after.append(replace(one, device=device, change="claims", told_ms=0))
        else:
            after.append(replace(one, device="", told_ms=0))
    return after


def _is(resident: Resident, one: Candidate) -> bool:
    if one.way != "modbus" or one.lost or one.serial != resident.adopted.serial:
        return False
    said, expected = resident.profile.match, resident.profile.identity
    whose = said if said != NO_RULE else expected
    # Firmware changes where a device does not.
    rules = Match(vendor=whose.vendor, model=whose.model)
    told = {"vendor": one.vendor, "model": one.model}
    return rules == NO_RULE or rules.fit(told, Expected()) > 0
