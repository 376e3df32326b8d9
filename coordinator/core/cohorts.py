"""Cohorts: which members belong to which stage, and in which order they come.

The same seed and fleet give the same cohorts, whatever order the fleet is listed in: members are
ordered by a hash. A stage that is stratified has a member of every combination of its labels'
values (it grows if it has to), and beyond that as many of each as its share of the fleet. Cost:
N log N in the number of members.
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b

from coordinator.core.rollout_policy import Stage
from shared import limits


@dataclass(frozen=True, slots=True)
class Candidate:
    """Somebody a job is for."""

    agent: str
    site: str
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Member:
    """Somebody's place in a rollout."""

    agent: str
    site: str
    stage: int
    place: int
    """Within the stage."""
    rank: int
    """Within the site, over all stages: who may begin there before whom."""


def plan(candidates: Sequence[Candidate], stages: Sequence[Stage], seed: str) -> list[Member]:
    """Give every candidate its place."""
    left = sorted(candidates, key=lambda one: (_hash(seed, one.agent), one.agent))
    total, taken = len(left), 0
    members: list[Member] = []
    ranks: dict[str, int] = defaultdict(int)
    for position, stage in enumerate(stages):
        upto = math.ceil(total * stage.percentage / 100)
        size = min(len(left), max(upto - taken, stage.min_targets))
        chosen = left[:size]
        if stage.stratify_by and size < len(left):
            chosen = _stratified(left, stage.stratify_by, size)
            inside = {one.agent for one in chosen}
            left = [one for one in left if one.agent not in inside]
        else:
            left = left[size:]
        taken += len(chosen)
        for place, one in enumerate(_in_slices(chosen)):
            members.append(Member(one.agent, one.site, position, place, ranks[one.site]))
            ranks[one.site] += 1
    assert not left, "the last stage takes everybody"
    return members


def _in_slices(ordered: Sequence[Candidate]) -> list[Candidate]:
    """Return members slice by slice, each slice in the order of names.

    Who is released together then has his rows on the same pages. A slice is drawn from the whole
    fleet and is half as large as all before it, so whoever went first is a fair sample at any time.
    """
    found = list(ordered[: limits.ROLLOUT_RELEASES])
    while len(found) < len(ordered):
        first, size = len(found), max(limits.ROLLOUT_RELEASES, len(found) // 2)
        found += sorted(ordered[first : first + size], key=lambda one: one.agent)
    return found


def strata(candidates: Sequence[Candidate], keys: Sequence[str]) -> dict[tuple[str, ...], int]:
    """Return how many candidates each combination of values has."""
    found: dict[tuple[str, ...], int] = defaultdict(int)
    for one in candidates:
        found[_stratum(one, keys)] += 1
    return dict(found)


def _stratified(ordered: Sequence[Candidate], keys: Sequence[str], size: int) -> list[Candidate]:
    """Choose `size` of `ordered`, one of each stratum first, then each by its share."""
    groups: dict[tuple[str, ...], list[Candidate]] = defaultdict(list)
    for one in ordered:
        groups[_stratum(one, keys)].append(one)
    # Rare strata first: where there are more of them than a stage can hold, the rest is a matter
    # of shares.
    first = sorted(groups, key=lambda stratum: (len(groups[stratum]), stratum))
    sure = dict.fromkeys(first[: limits.ROLLOUT_STRATA], 1)
    size = max(size, len(sure))
    spread = sorted(
        ((number + 1) / (len(group) + 1), stratum, number)
        for stratum, group in groups.items()
        for number in range(sure.get(stratum, 0), len(group))
    )
    for _, stratum, _ in spread[: size - len(sure)]:
        sure[stratum] = sure.get(stratum, 0) + 1
    inside = {one.agent for stratum, number in sure.items() for one in groups[stratum][:number]}
    return [one for one in ordered if one.agent in inside]


def _stratum(one: Candidate, keys: Sequence[str]) -> tuple[str, ...]:
    return tuple(one.labels.get(key, "") for key in keys)


def _hash(seed: str, agent: str) -> bytes:
    return blake2b(agent.encode(), digest_size=8, key=blake2b(seed.encode()).digest()).digest()
