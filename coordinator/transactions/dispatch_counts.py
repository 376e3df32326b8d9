"""The counts of a rollout by stage and state, and the room at its sites: folded from changes."""

from collections import Counter
from collections.abc import Iterable, Mapping

from coordinator.core.ports import Tx, execute, execute_many, fetch, fetch_one
from shared import limits
from shared.ids import JobId
from shared.model.job import TERMINAL_EXECUTION, ExecutionState


def count_events(job: JobId) -> Tx[tuple[bool, bool, bool]]:
    """Fold what changed into the counts.

    Tell whether there was anything, whether something succeeded, and whether more is left.
    """
    rows = yield from fetch("rollout_events", job, limits.ROLLOUT_EVENTS)
    if not rows:
        return False, False, False
    change: Counter[tuple[int, int]] = Counter()
    ended: Counter[str] = Counter()
    rooms: dict[str, int] = {}
    for _, stage, before, after, site, room in rows:
        change[stage, before] -= 1
        change[stage, after] += 1
        if site is not None and after in TERMINAL_EXECUTION and before not in TERMINAL_EXECUTION:
            ended[site] += 1
            rooms[site] = room
    yield from execute_many(
        "rollout_count",
        ((job, stage, state, number) for (stage, state), number in sorted(change.items())),
    )
    yield from _give(job, ended, rooms)
    # What is committed meanwhile under a lower number is not in this transaction's sight.
    yield from execute("rollout_events_counted", job, rows[-1][0])
    succeeded = any(row[3] == ExecutionState.SUCCEEDED for row in rows)
    return True, succeeded, len(rows) == limits.ROLLOUT_EVENTS


def moved_count(job: JobId, stage: int, members: int, released: int, queued: int) -> Tx[None]:
    """Count members that came to a stage or left it (negative), and queued executions that did."""
    yield from execute("rollout_stage_changed", job, stage, members, released)
    yield from execute("rollout_count", job, stage, ExecutionState.QUEUED, queued)


def give_room(job: JobId, agents: Iterable[str]) -> Tx[None]:
    """Let the next member of each agent's site get ready; places that nobody has are skipped."""
    given: Counter[str] = Counter()
    rooms: dict[str, int] = {}
    for agent in agents:
        row = yield from fetch_one("rollout_site_of", job, agent)
        if row is not None:
            given[row[0]] += 1
            rooms[row[0]] = row[1]
    yield from _give(job, given, rooms)


def _give(job: JobId, given: Mapping[str, int], rooms: Mapping[str, int]) -> Tx[None]:
    """Let so many more members of sites get ready; `rooms` is what the sites had room for."""
    # Few statements over many rows: a server is asked over a network, and on SQLite a statement
    # that answers rows costs the more the more pages the transaction has changed.
    sites = sorted(given)
    yield from execute_many("rollout_site_room", ((job, site, given[site]) for site in sites))
    yield from execute_many("rollout_members_ready", ((job, site, rooms[site]) for site in sites))
