"""What each gateway of a rollout really did: a row for each, also if it never had the job.

Says what is told and what is only presumed (a gateway that nobody heard of did anything or
nothing), and what is still owed for it: its turn, its word, its undoing, or a person's look.
Leaves out asking for it (`coordinator.cli.rollouts`).
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final

import msgspec

from coordinator.cli.explain import GONE
from coordinator.cli.show import Screen, count
from coordinator.contract.jobs import ExecutionView
from coordinator.contract.rollouts import OVER, MemberView, RolloutView
from shared.words import some

_DID: Final[Mapping[str, str]] = {
    "QUEUED": "nobody knows yet: it was not heard of",
    "DELIVERED": "nothing yet: it has the job",
    "HELD": "nothing yet: it waits",
    "IN_PROGRESS": "it is at work",
    "VERIFYING": "did it, and looks whether it holds",
    "SUCCEEDED": "did it",
    "FAILED": "failed",
    "TIMED_OUT": "ran out of its time",
    "ROLLED_BACK": "failed, and undid what it had done",
    "ROLLBACK_FAILED": "failed, and so did undoing it",
    "REJECTED": "refused it",
    "QUARANTINED": "put it aside, for it went down over it again and again",
    "EXPIRED": "nothing: its time was over",
    "CANCELED": "nothing: it was called off",
    "SUPERSEDED": "nothing: a newer job took its place",
    "REMOVED": "nothing: it was dropped",
    "OVERDUE": "nobody knows: it was not heard of in time",
}
_OPEN: Final = frozenset({"QUEUED", "DELIVERED", "HELD", "IN_PROGRESS", "VERIFYING", "OVERDUE"})
_STOPPED: Final[Mapping[str | None, str]] = {
    "stopped": "began, and was stopped at a safe point",
    "unknown": "nobody knows: it has lost its memory of what ran",
}
"""What became of who was called off, where it was not nothing."""
_LOOK: Final = "a person's look"
_HALF: Final = frozenset({"ROLLBACK_FAILED", "QUARANTINED"})


class Told(msgspec.Struct, frozen=True):
    """What became of one gateway."""

    agent: str
    stage: str
    """Empty: it was dropped from the rollout."""
    state: str | None
    """Of its execution; null: it was never released."""
    did: str
    why: str
    known: str
    """``told``, ``told late``, ``presumed``, ``not yet``, or ``never sent``: it cannot have it."""
    told_at: datetime | None
    undo_state: str | None
    undone: str
    owed: str
    """``its turn``, ``its word``, ``its undoing``, ``a person's look``; empty: nothing."""

    @property
    def account(self) -> str:
        """Return what it did and what became of that, the same for all of whom the same is true."""
        return f"{self.did}; {self.undone}" if self.undone else self.did

    @property
    def words(self) -> str:
        """Return all that there is to say of it."""
        why = f" ({self.why})" if self.why else ""
        late = "; told late" if self.known == "told late" else ""
        undone = f"; {self.undone}" if self.undone else ""
        return f"{self.did}{why}{late}{undone}"


class Report(msgspec.Struct, frozen=True):
    """The whole fleet's account of one rollout."""

    rollout: RolloutView
    counts: dict[str, int]
    """Gateways by what they did and what became of that."""
    owed: dict[str, int]
    """Gateways by what is still owed for them."""
    gateways: list[Told]
    """Those that have the job or had it first, then by name."""


def report(
    view: RolloutView,
    members: Iterable[MemberView],
    done: Iterable[ExecutionView],
    undoing: Iterable[ExecutionView] = (),
) -> Report:
    """Return what each member did with a job, and with the job that undoes it."""
    first, back = {one.agent: one for one in done}, {one.agent: one for one in undoing}
    rows = [_told(view, one, first.get(one.agent), back.get(one.agent)) for one in members]
    rows.sort(key=lambda row: (row.state is None, row.agent))
    counts = Counter(row.account for row in rows)
    owed = Counter(row.owed for row in rows if row.owed)
    return Report(view, dict(counts.most_common()), dict(owed.most_common()), rows)


def show(screen: Screen, found: Report) -> None:
    """Print a report for people: the sums, then a row for each gateway."""
    view = found.rollout
    screen.text(f"{view.name}: {view.state}")
    for why in view.why:
        screen.text(f"  {why}")
    if view.undo is not None:
        screen.text(f"  undone by job {view.undo}")
    screen.text(f"\n{some(view.targets, 'gateway')}, {view.released} have the job or had it:")
    for account, number in found.counts.items():
        screen.text(f"{number:7} {account}")
    screen.text(f"still owed: {count(found.owed) if found.owed else 'nothing'}\n")
    screen.table(
        ("GATEWAY", "STAGE", "TOLD AT (UTC)", "WHAT IT DID", "OWED"),
        [
            (row.agent, row.stage or "-", _minute(row.told_at), row.words, row.owed or "-")
            for row in found.gateways
        ],
    )


def _minute(at: datetime | None) -> str:
    return "-" if at is None else f"{at:%Y-%m-%d %H:%M}"


def _told(
    view: RolloutView, member: MemberView, one: ExecutionView | None, undo: ExecutionView | None
) -> Told:
    over = view.state in OVER
    if one is None:
        dropped = not member.stage
        did = "nothing: it was dropped" if dropped else "nothing: its turn has not come"
        did = "nothing: its turn never came" if over and not dropped else did
        owed = "" if over or dropped else "its turn"
        return Told(member.agent, member.stage, None, did, "", "never sent", None, None, "", owed)
    return Told(
        agent=member.agent,
        stage=member.stage,
        state=one.state,
        did=_did(one),
        why=_why(one),
        known=_known(one),
        told_at=None if one.since is None or one.state == "OVERDUE" else one.updated_at,
        undo_state=None if undo is None else undo.state,
        undone=_undone(undo),
        owed=_owed(one, undo, taken_back=view.undo is not None),
    )


def _did(one: ExecutionView) -> str:
    words = _DID.get(one.state, one.state)
    if one.state == "OVERDUE" and one.reason in GONE:
        return "nobody will ever know: its agent is let in no more"
    if one.cancel is not None and one.state == "CANCELED":
        return _STOPPED.get(one.cancel.outcome, words)
    if one.cancel is not None and one.state in _OPEN:
        return f"{words}; told to stop"
    return words


def _why(one: ExecutionView) -> str:
    if one.state in {"SUCCEEDED", "CANCELED"}:
        return ""
    return "; ".join(filter(None, (one.reason, one.detail)))


def _known(one: ExecutionView) -> str:
    if one.late:
        return "told late"
    if one.state == "OVERDUE":
        return "presumed"
    if one.since is not None:
        return "told"
    return "not yet" if one.state in _OPEN else "never sent"


def _undone(undo: ExecutionView | None) -> str:
    if undo is None:
        return ""
    if undo.state == "SUCCEEDED":
        return "undone"
    why = f" ({why})" if (why := _why(undo)) else ""
    return f"undoing: {_did(undo)}{why}"


def _owed(one: ExecutionView, undo: ExecutionView | None, *, taken_back: bool) -> str:
    gone = one.state == "OVERDUE" and one.reason in GONE
    unknown = one.state == "FAILED" and one.reason == "unknown_effect"
    how = one.cancel.outcome if one.cancel is not None and one.state == "CANCELED" else None
    if gone or unknown or how == "unknown" or one.state in _HALF:
        return _LOOK
    if one.state in _OPEN:
        return "its word"
    if (one.state != "SUCCEEDED" and how != "stopped") or (undo and undo.state == "SUCCEEDED"):
        return ""
    if not taken_back:
        return _LOOK if how == "stopped" else ""
    return "its undoing" if undo is None or undo.state in _OPEN else _LOOK
