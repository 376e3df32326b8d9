"""The counts of a rollout by stage and state, and the room at its sites: folded from changes."""

from collections import Counter
from collections.abc import Iterable

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
    ended: list[str] = []
    for _, agent, stage, before, after in rows:
        change[stage, before] -= 1
        change[stage, after] += 1
        if after in TERMINAL_EXECUTION and before not in TERMINAL_EXECUTION:
            ended.append(agent)
    yield from execute_many(
        "rollout_count",
        ((job, stage, state, number) for (stage, state), number in sorted(change.items())),
    )
    yield from give_room(job, ended)
    yield from execute_many("rollout_event_counted", ((row[0],) for row in rows))
    succeeded = any(row[4] == ExecutionState.SUCCEEDED for row in rows)
    return True, succeeded, len(rows) == limits.ROLLOUT_EVENTS


def moved_count(job: JobId, stage: int, members: int, released: int, queued: int) -> Tx[None]:
    """Count members that came to a stage or left it (negative), and queued executions that did."""
    yield from execute("rollout_stage_changed", job, stage, members, released)
    yield from execute("rollout_count", job, stage, ExecutionState.QUEUED, queued)


def give_room(job: JobId, agents: Iterable[str]) -> Tx[None]:
    """Let the next member of each agent's site get ready; places that nobody has are skipped."""
    for agent in agents:
        row = yield from fetch_one("rollout_site_of", job, agent)
        if row is None:
            continue
        site, room, members = row
        while room < members:
            room += 1
            found = yield from fetch_one("rollout_member_ready", job, site, room - 1)
            if found is not None and found[0] >= 0:
                break
        else:
            room += 1
        yield from execute("rollout_site_room", job, site, room)
