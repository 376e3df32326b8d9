"""What an agent still has to be told after weeks: the newest of each thing, and whole chains.

Of several waiting executions with one conflict key only the newest job's is kept, and of plain
configurations only the newest where it says at least as much. What another kept one waits for is
kept too: a chain with a link missing would wait for ever. What a pause holds back takes no older
one's place, for that might be dropped for nothing. Pure; who is told what is decided by
`coordinator.transactions.issue`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from shared.model.job import JobSpec, Step

_CONFIGURES: Final = frozenset({"device.configure", "agent.configure"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """One execution that waits for its agent."""

    execution: bytes
    job: bytes
    """Jobs are ordered by their ids: a later one was submitted later."""
    spec: JobSpec
    after: bytes | None = None
    """The job that it waits for on its agent."""
    held: bool = False
    """Its rollout is paused: nobody knows whether it ever goes, so it takes no one's place."""


@dataclass(frozen=True, slots=True)
class Dropped:
    """One that need not be done, and the newer job that is done instead."""

    execution: bytes
    by: bytes


def needless(waiting: Sequence[Waiting]) -> list[Dropped]:
    """Return which executions of one agent need not be done any more.

    >>> needless([])
    []
    """
    kept: list[Waiting] = []
    needed: set[bytes] = set()
    dropped = []
    for one in sorted(waiting, key=lambda one: one.job, reverse=True):
        by = None if one.job in needed else _replaced_by(one, kept)
        if by is not None:
            dropped.append(Dropped(one.execution, by.job))
            continue
        if not one.held:
            kept.append(one)
        if one.after is not None:
            needed.add(one.after)
    return dropped


def _replaced_by(one: Waiting, newer: Sequence[Waiting]) -> Waiting | None:
    key = one.spec.conflict_key
    for other in newer:
        # A job that waits for this very one does not replace it.
        if other.after == one.job:
            continue
        if (key and other.spec.conflict_key == key) or _covers(other.spec, one.spec):
            return other
    return None


def _covers(newer: JobSpec, older: JobSpec) -> bool:
    """Tell whether a newer plain configuration says all that an older one does."""
    if not (_is_plain(newer) and _is_plain(older)):
        return False
    if newer.targets.device_selector != older.targets.device_selector:
        return False
    said = {(step.action, name) for step in newer.steps for name in step.params}
    return all((step.action, name) in said for step in older.steps for name in step.params)


def _is_plain(spec: JobSpec) -> bool:
    """Tell whether a job does nothing but configure, at once and under no condition."""
    extras = (
        *(spec.final_steps, spec.compensation, spec.preconditions, spec.post_check),
        *(spec.window, spec.schedule, spec.rule, spec.after, spec.delay_s, spec.dry_run),
    )
    return bool(spec.steps) and not any(extras) and all(map(_configures, spec.steps))


def _configures(step: Step) -> bool:
    return step.action in _CONFIGURES and not step.when and not step.for_s
