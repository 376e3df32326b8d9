"""What a state means, in words: what it waits for, since when, and what to do about it.

Owns the sentences. States and reasons stand in `shared.model.job` and `shared.errors`.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from coordinator.cli.show import ago, span
from coordinator.contract.agents import MovingView
from coordinator.contract.jobs import CancelView, ExecutionView
from coordinator.contract.standing import StandingKind

_HELD: Final[Mapping[str, str]] = {
    "window_closed": "waits for its window to open",
    "precondition_open": "waits for a precondition",
    "site_locked": "waits: somebody has locked the site for work on it",
    "waiting_for_job": "waits for another job to end on this agent",
    "canary_failed": "waits for the first devices to succeed",
}
_STATES: Final[Mapping[str, str]] = {
    "QUEUED": "goes out with the agent's next contact, unless that is quarantined",
    "DELIVERED": "the agent has it and has not begun",
    "IN_PROGRESS": "at work",
    "VERIFYING": "done; whether it holds is being watched",
    "SUCCEEDED": "done",
    "FAILED": "failed",
    "TIMED_OUT": "took longer than it may",
    "ROLLED_BACK": "failed, and what it had done was undone",
    "ROLLBACK_FAILED": "failed, and so did undoing it: look at the device",
    "REJECTED": "the agent refused it; nothing was done",
    "QUARANTINED": "took the agent down again and again; look at the agent before you repeat it",
    "EXPIRED": "its time was over before it could begin",
    "CANCELED": "called off",
    "SUPERSEDED": "a newer job with the same conflict key took its place",
    "REMOVED": "the agent left the target before it was signed",
    "OVERDUE": "nothing was heard of it in time; the agent's word still counts when it comes",
}
GONE: Final = frozenset({"revoked", "decommissioned"})
"""Why nobody will ever say what became of an execution: its agent is let in no more."""
_OUTCOMES: Final[Mapping[str | None, str]] = {
    None: "the agent has yet to say what that stopped",
    "never_delivered": "it had never arrived",
    "not_started": "it had not begun",
    "stopped": "it was stopped at a safe point",
    "too_late": "too late: it had ended before",
    "unknown": "the agent has lost its memory of what ran; look at the device",
}
_OPEN: Final = frozenset({"QUEUED", "DELIVERED", "HELD", "IN_PROGRESS", "VERIFYING", "OVERDUE"})


def explain(
    execution: ExecutionView, standing: StandingKind | str = "", now: datetime | None = None
) -> str:
    """Return what an execution does, waits for or came to, since when, and why.

    >>> at = datetime(2026, 1, 1, tzinfo=UTC)
    >>> explain(_held("precondition_open", "battery > 40 does not hold", at), now=at)
    'waits for a precondition (battery > 40 does not hold), for 0 s'
    """
    text = _words(execution, standing)
    why = execution.detail or ("" if execution.state == "HELD" else execution.reason or "")
    if execution.state == "CANCELED" and execution.cancel is not None:
        why = ""
    if why and why != (execution.cancel and execution.cancel.outcome):
        text += f" ({why})"
    if execution.state in _OPEN and execution.since is not None:
        passed = max((now or datetime.now(UTC)) - execution.since, timedelta())
        text += f", for {span(passed)}"
    if execution.moving is not None:
        text += f"; {on_its_way(execution.moving)} ({ago(execution.moving.at)})"
    if execution.cancel is not None:
        text += f"; {how_it_stopped(execution.cancel, now)}"
    return text


def on_its_way(moving: MovingView) -> str:
    """Return what is on its way at an agent.

    >>> at = datetime(2026, 1, 1, tzinfo=UTC)
    >>> on_its_way(MovingView(at, 2, 430, 1, 70))
    '43 % of a file is there, 1 more is waited for; firmware goes into 1 device, 7 % of it is there'
    >>> from coordinator.contract.agents import ImageView
    >>> into = [ImageView("pump-1", 250), ImageView("pump-2", 0)]
    >>> on_its_way(MovingView(at, 0, 0, 3, 80, into))
    'firmware goes into 3 devices, 8 % of it is there (pump-1 25 %, pump-2 0 %)'
    """
    said: list[str] = []
    if moving.files:
        more = moving.files - 1
        rest = f", {more} more {'is' if more == 1 else 'are'} waited for" if more else ""
        said.append(f"{moving.file_permille // 10} % of a file is there{rest}")
    if moving.images:
        into = f"{moving.images} device{'s' * (moving.images > 1)}"
        share = f"{moving.image_permille // 10} % of it is there"
        if moving.into:
            named = (f"{one.device} {one.permille // 10} %" for one in moving.into)
            share += f" ({', '.join(named)})"
        said.append(f"firmware goes into {into}, {share}")
    return "; ".join(said)


def how_it_stopped(cancel: CancelView, now: datetime | None = None) -> str:
    """Return when an execution was called off and what came of it."""
    passed = max((now or datetime.now(UTC)) - cancel.asked_at, timedelta())
    return f"called off {span(passed)} ago: {_OUTCOMES[cancel.outcome]}"


def _words(execution: ExecutionView, standing: str) -> str:
    state, reason = execution.state, execution.reason
    if state == "FAILED" and reason == "unknown_effect":
        return "was cut off: the device may or may not have done it; look at it"
    if standing and not reason and state in {"HELD", "DELIVERED"}:
        waits = "its next time" if standing == "schedule" else "its condition"
        return f"in force; waits for {waits}"
    if state == "OVERDUE" and reason in GONE:
        return "its agent is let in no more: nobody will ever say what became of it"
    if state == "QUEUED" and reason == "store_lost":
        return "stays behind: the agent lost its memory of what ran; look at the device"
    if state == "HELD":
        if reason is None:
            return "waits for its time"
        return _HELD.get(reason, f"tries again by itself after {reason}")
    return _STATES.get(state, state)


def _held(reason: str, detail: str, at: datetime) -> ExecutionView:
    """Return an execution that is held, for examples."""
    return ExecutionView(*("", "", "", "HELD", reason, False, at, at, detail, at, None, [], []))
