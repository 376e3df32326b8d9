"""What each gateway of a rollout really did, in words: one row for each, the undoing beside it.

Says what is told and what is only presumed: a gateway that nobody heard of did anything or nothing.
Leaves out asking for it (`coordinator.cli.rollouts`).
"""

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from coordinator.cli.explain import GONE
from coordinator.contract.jobs import ExecutionView

_DID: Final[Mapping[str, str]] = {
    "QUEUED": "nothing that is known of: it has not said that it has the job",
    "DELIVERED": "nothing yet: it has the job",
    "HELD": "nothing yet: it waits",
    "IN_PROGRESS": "it is at work",
    "VERIFYING": "did it, and looks whether it holds",
    "SUCCEEDED": "did it",
    "FAILED": "failed",
    "TIMED_OUT": "ran out of its time",
    "ROLLED_BACK": "did it, and took it back by itself",
    "REJECTED": "refused it",
    "QUARANTINED": "put it aside, for it went down over it again and again",
    "EXPIRED": "nothing: its time was over",
    "CANCELED": "nothing: it was called off",
    "SUPERSEDED": "nothing: a newer job took its place",
    "REMOVED": "nothing: it was dropped",
    "OVERDUE": "nobody knows: it was not heard of in time",
}


class Told(NamedTuple):
    """One row of the report."""

    agent: str
    did: str
    undone: str
    known: str
    """``told``, ``told late`` or ``presumed``."""


def report(done: Iterable[ExecutionView], undoing: Iterable[ExecutionView]) -> list[Told]:
    """Return what each agent did with a job, and with the job that undoes it, by agent."""
    back = {one.agent: one for one in undoing}
    rows = []
    for one in sorted(done, key=lambda one: one.agent):
        undo = back.get(one.agent)
        rows.append(Told(one.agent, _words(one), "-" if undo is None else _words(undo), _how(one)))
    return rows


def _words(one: ExecutionView) -> str:
    words = _DID.get(one.state, one.state)
    if one.state == "OVERDUE" and one.reason in GONE:
        words = "nobody will ever know: its agent is let in no more"
    if one.cancel is not None and one.state == "OVERDUE":
        words += "; it is told to stop"
    why = "; ".join(filter(None, (one.reason, one.detail)))
    return f"{words} ({why})" if why and one.state != "SUCCEEDED" else words


def _how(one: ExecutionView) -> str:
    if one.late:
        return "told late"
    return "presumed" if one.state in {"OVERDUE", "EXPIRED"} else "told"
