"""Devices that were found and are not attached: new, changed, lost, returned, moved. Pure.

Owns the memory of them and what one look changes in it. A device that tells a serial number is the
same one wherever it answers; where two answer with the same one at a time it tells nothing. Leaves
out looking (`agent.services.lookout`).
"""

from collections import Counter
from collections.abc import Collection, Sequence

import msgspec
from msgspec.structs import replace

from shared import limits
from shared.model.candidate import CandidateWord, Change, Sighting, Spot

_SAYS = ("vendor", "model", "firmware", "serial", "name")


class Candidate(CandidateWord, frozen=True, kw_only=True):
    """One device that was found, as the agent remembers it."""

    first_ms: int
    seen_ms: int
    misses: int = 0
    """Looks in a row at its place in which nobody answered."""
    told_ms: int = 0
    """When a receipt last carried it; 0: something of it has not been told yet."""

    @property
    def lost(self) -> bool:
        """Tell whether it is no longer where it was."""
        return self.misses >= limits.CANDIDATE_MISSES

    @property
    def who(self) -> tuple[str, ...] | None:
        """Return what tells it from every other device; None: nothing does."""
        return (self.way, self.vendor, self.model, self.serial) if self.serial else None


def seen(
    known: Sequence[Candidate],
    sightings: Sequence[Sighting],
    *,
    looked: Collection[Spot],
    now_ms: int,
) -> list[Candidate]:
    """Return what is known after a look, bounded.

    Args:
        known: before it.
        sightings: what answered.
        looked: every place that was asked; those without a sighting were silent.
        now_ms: the agent's time.
    """
    by_spot = {one.spot: one for one in known}
    for sighting in sightings:
        by_spot[sighting.spot] = _met(by_spot.get(sighting.spot), sighting, now_ms)
    here = {sighting.spot for sighting in sightings}
    for spot in set(looked) - here:
        if (one := by_spot.get(spot)) is not None:
            by_spot[spot] = _missed(one)
    merged = _merged(list(by_spot.values()))
    # Who was lost longest is forgotten first, then who was not seen for longest.
    merged.sort(key=lambda one: (one.lost, -one.seen_ms))
    return merged[: limits.CANDIDATES]


def _met(before: Candidate | None, sighting: Sighting, now_ms: int) -> Candidate:
    said = {name: getattr(sighting, name)[: limits.CANDIDATE_CHARS] for name in _SAYS}
    if before is None:
        return Candidate(
            way=sighting.way, place=sighting.place, **said, first_ms=now_ms, seen_ms=now_ms
        )
    same = all(getattr(before, name) == text for name, text in said.items())
    change: Change = before.change if not before.told_ms else "same"
    if before.lost:
        change = "returned" if same else "new"
    elif not same and change != "new":
        change = "changed"
    told_ms = before.told_ms if same and not before.lost else 0
    return replace(before, **said, change=change, misses=0, seen_ms=now_ms, told_ms=told_ms)


def _missed(one: Candidate) -> Candidate:
    after = replace(one, misses=min(one.misses + 1, limits.CANDIDATE_MISSES))
    if after.lost and not one.lost:
        return replace(after, change="lost", told_ms=0)
    return after


def _merged(every: list[Candidate]) -> list[Candidate]:
    """Make one of the two halves of a move: lost at one place, answering at another."""
    living = Counter(one.who for one in every if one.who and not one.lost)
    gone: dict[tuple[str, ...], Candidate] = {one.who: one for one in every if one.who and one.lost}
    left: list[Candidate] = []
    for one in every:
        alone = one.who is not None and living[one.who] == 1
        former = gone.get(one.who or ()) if alone and not one.lost else None
        if former is not None:
            left.append(
                replace(
                    one,
                    before=former.place,
                    first_ms=min(one.first_ms, former.first_ms),
                    change="moved",
                    told_ms=0,
                )
            )
        elif not (alone and one.lost):
            left.append(one)
    return left


def to_tell(
    known: Sequence[Candidate], *, now_ms: int, room: int
) -> tuple[list[CandidateWord], list[Candidate]]:
    """Return what one receipt carries within `room` bytes, and what is known once it does.

    What is new goes first, then what was told longest ago: whoever lost it learns of it again.
    """
    words: list[CandidateWord] = []
    told: set[Spot] = set()
    for one in sorted(known, key=lambda one: (one.told_ms, one.first_ms, one.place)):
        word = _word(one)
        size = len(msgspec.json.encode(word)) + limits.MEMBER_BYTES
        if size > room or len(words) == limits.CANDIDATES_TOLD:
            break
        room -= size
        words.append(word)
        told.add(one.spot)
    after = [replace(one, told_ms=now_ms) if one.spot in told else one for one in known]
    return words, after


def _word(one: Candidate) -> CandidateWord:
    said = {name: getattr(one, name) for name in CandidateWord.__struct_fields__}
    said["change"] = "lost" if one.lost else "same" if one.told_ms else one.change
    said["before"] = "" if one.told_ms else one.before
    return CandidateWord(**said)
