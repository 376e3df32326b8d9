"""The counts of a rollout by stage and state, and the room at its sites: folded from changes."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from coordinator.core.ports import Tx, execute, execute_many, fetch, fetch_one
from shared import limits
from shared.ids import JobId
from shared.model.job import TERMINAL_EXECUTION, ExecutionState


@dataclass(frozen=True, slots=True)
class Site:
    """A site of a rollout: members below `room` may have begun."""

    room: int
    members: int


def count_events(job: JobId) -> Tx[tuple[bool, bool, bool]]:
    """Fold what changed into the counts.

    Tell whether there was anything, whether something may have been done, and if more is left.
    """
    rows = yield from fetch("rollout_events", job, limits.ROLLOUT_EVENTS)
    if not rows:
        return False, False, False
    change: Counter[tuple[int, int]] = Counter()
    ended: Counter[str] = Counter()
    sites: dict[str, Site] = {}
    for _, stage, before, after, site, room, members in rows:
        change[stage, before] -= 1
        change[stage, after] += 1
        if site is not None and after in TERMINAL_EXECUTION and before not in TERMINAL_EXECUTION:
            ended[site] += 1
            sites[site] = Site(room, members)
    yield from execute_many(
        "rollout_count",
        ((job, stage, state, number) for (stage, state), number in sorted(change.items())),
    )
    last = rows[-1][0]
    if ended:
        yield from _make_room(job, last, ended, sites)
    # What is committed meanwhile under a lower number is not in this transaction's sight.
    yield from execute("rollout_events_counted", job, last)
    # Who was called off may have been stopped half-way.
    ended_so = {ExecutionState.SUCCEEDED, ExecutionState.CANCELED}
    return True, any(row[3] in ended_so for row in rows), len(rows) == limits.ROLLOUT_EVENTS


def moved_count(job: JobId, stage: int, members: int, released: int, queued: int) -> Tx[None]:
    """Count members that came to a stage or left it (negative), and queued executions that did."""
    yield from execute("rollout_stage_changed", job, stage, members, released)
    yield from execute("rollout_count", job, stage, ExecutionState.QUEUED, queued)


def give_room(job: JobId, agents: Iterable[str]) -> Tx[None]:
    """Let the next member of each agent's site get ready; places that nobody has are skipped."""
    given: Counter[str] = Counter()
    sites: dict[str, Site] = {}
    for agent in agents:
        row = yield from fetch_one("rollout_site_of", job, agent)
        if row is not None:
            given[row[0]] += 1
            sites[row[0]] = Site(row[1], row[2])
    yield from _grow(job, given, sites)


def _make_room(
    job: JobId, last: int, ended: Mapping[str, int], sites: Mapping[str, Site]
) -> Tx[None]:
    """Give what has ended by event `last` to those who come next at the same sites.

    One look for all sites, then a row at a time by its key: on SQLite a statement that changes
    several rows costs the more the more pages its transaction has changed.
    """
    after: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for site, agent, stage in (yield from fetch("rollout_next_at_sites", job, last)):
        after[site].append((agent, stage))
    rooms: dict[str, int] = {}
    ready: list[str] = []
    odd: dict[str, int] = {}
    for site, number in sorted(ended.items()):
        room, members = sites[site].room, sites[site].members
        chosen = after[site][:number]
        whole = len(chosen) == min(number, max(0, members - room))
        if whole and all(stage >= 0 for _, stage in chosen):
            rooms[site] = room + number
            ready += [agent for agent, _ in chosen]
        else:
            odd[site] = number
    yield from execute_many("rollout_site_room", ((job, *row) for row in rooms.items()))
    yield from execute_many("rollout_member_ready", ((job, agent) for agent in ready))
    yield from _grow(job, odd, sites)


def _grow(job: JobId, given: Mapping[str, int], sites: Mapping[str, Site]) -> Tx[None]:
    """Let so many more members of sites get ready, passing over places that nobody has."""
    names = sorted(given)
    yield from execute_many("rollout_site_grows", ((job, site, given[site]) for site in names))
    yield from execute_many(
        "rollout_members_ready", ((job, site, sites[site].room) for site in names)
    )
