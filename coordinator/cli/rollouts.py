"""`outstation rollouts`: how a job goes over the fleet, why it waits, and steering it."""

import math
import time
from collections.abc import Iterator
from typing import Final

from cyclopts import App

from coordinator.cli.client import Client, Exit, segment
from coordinator.cli.devices import meant
from coordinator.cli.job_file import JobFile, read_job
from coordinator.cli.options import (
    AT_ONCE,
    DEFAULT,
    FOREVER_S,
    Common,
    Waiting,
    Yes,
    ask_first,
    with_client,
)
from coordinator.cli.rollouts_report import report as tell
from coordinator.cli.rollouts_report import show as show_report
from coordinator.cli.rollouts_watch import get, incoming, picture, released, where
from coordinator.cli.rollouts_watch import watch as follow
from coordinator.cli.show import Screen, ago
from coordinator.cli.waiting import until_settled
from coordinator.contract.jobs import ExecutionView
from coordinator.contract.rollouts import OVER, MemberView, RolloutPreview, RolloutView
from shared.words import some

app = App(name="rollouts", help="Jobs that go over the fleet in stages: watch, steer, take back.")
_REPORTED: Final = 1_000_000
"""Gateways that a report has rows for; a fleet has no more."""


@app.command(name="list")
def list_(*, state: str = "", most: int = 50, common: Common = DEFAULT) -> None:
    """List rollouts, newest first.

    Parameters
    ----------
    state
        Only those in this state, e.g. PAUSED.
    most
        At most so many.
    """
    with_client(common, lambda client, screen: _list(client, screen, state.upper(), most))


@app.command(name="show")
def show(job: str, /, *, common: Common = DEFAULT) -> None:
    """Show one rollout: its stages, the arithmetic of its gates, and why it waits."""
    with_client(common, lambda client, screen: _show(screen, get(client, job)))


@app.command(name="report")
def report(job: str, /, *, common: Common = DEFAULT) -> None:
    """Tell what each gateway really did, if it was undone, and what is still owed for it."""
    with_client(common, lambda client, screen: _report(client, screen, job))


@app.command(name="preview")
def preview(file: str, /, *, common: Common = DEFAULT) -> None:
    """Tell what a job file would do: reach by stage, metered bytes, conflicts, how long.

    Parameters
    ----------
    file
        TOML or JSON; "-" reads standard input.
    """
    job = read_job(file)
    with_client(common, lambda client, screen: _preview(client, screen, job))


@app.command(name="pause")
def pause(job: str, /, *, common: Common = DEFAULT) -> None:
    """Release nobody more, and sign for nobody what was released, until it is resumed."""
    with_client(common, lambda client, screen: _steer(client, screen, job, "pause"))


@app.command(name="resume")
def resume(job: str, /, *, common: Common = DEFAULT) -> None:
    """Go on in spite of what failed until now; more failures stop it again."""
    with_client(common, lambda client, screen: _steer(client, screen, job, "resume"))


@app.command(name="advance")
def advance(job: str, /, *, common: Common = DEFAULT) -> None:
    """Go on to the next stage, whatever the gate of the present one says."""
    with_client(common, lambda client, screen: _steer(client, screen, job, "advance"))


@app.command(name="cancel")
def cancel(job: str, /, *, waiting: Waiting = AT_ONCE, common: Common = DEFAULT) -> Exit:
    """Call the job off everywhere; what it did stays done."""
    return with_client(
        common, lambda client, screen: _steer(client, screen, job, "cancel", waiting.span_s)
    )


@app.command(name="rollback")
def rollback(
    job: str,
    /,
    *,
    yes: Yes = False,
    waiting: Waiting = AT_ONCE,
    common: Common = DEFAULT,
) -> Exit:
    """Call the job off and undo it, by its compensation, wherever it had succeeded."""
    if not ask_first(f"undo job {job} on every agent where it succeeded?", yes=yes):
        return Exit.FAILED
    return with_client(
        common, lambda client, screen: _steer(client, screen, job, "rollback", waiting.span_s)
    )


@app.command(name="watch")
def watch(job: str, /, *, timeout: int = FOREVER_S, common: Common = DEFAULT) -> Exit:
    """Follow a rollout until it is over; exit status 0 only if it finished.

    With --json one line for each change.

    Parameters
    ----------
    timeout
        Seconds to watch at most; exit status 7 after that, and it goes on.
    """
    return with_client(common, lambda client, screen: follow(client, screen, job, timeout))


def _report(client: Client, screen: Screen, job: str) -> None:
    view = get(client, job)
    path = f"/v1/rollouts/{segment(job)}/members"
    members = client.pages(path, MemberView, {}, most=_REPORTED)
    undoing = _executions(client, view.undo) if view.undo else []
    found = tell(view, members, _executions(client, job), undoing)
    if screen.as_json:
        screen.json(found)
    else:
        show_report(screen, found)


def _executions(client: Client, job: str) -> Iterator[ExecutionView]:
    return client.pages("/v1/executions", ExecutionView, {"job": job}, most=_REPORTED)


def _list(client: Client, screen: Screen, state: str, most: int) -> None:
    found = list(client.pages("/v1/rollouts", RolloutView, {"state": state}, most=most))
    if screen.as_json:
        screen.json(found)
        return
    if not found:
        screen.text("no rollouts")
        return
    screen.table(
        ("JOB", "NAME", "STATE", "STAGE", "RELEASED", "WHY"),
        [
            (one.job, one.name, one.state, where(one), released(one), "; ".join(one.why))
            for one in found
        ],
    )


def _show(screen: Screen, view: RolloutView) -> None:
    if screen.as_json:
        screen.json(view)
        return
    facts: list[tuple[str, object]] = [
        ("job", view.job),
        ("name", view.name),
        ("state", view.state),
        ("released", _released(view)),
        ("submitted", f"{ago(view.created_at)} by {view.created_by}"),
    ]
    facts += [("why", why) for why in view.why]
    if view.next_look_at is not None and view.state not in OVER:
        facts.append(("goes on at", f"{view.next_look_at:%Y-%m-%d %H:%M:%S} UTC at the latest"))
    if view.undo is not None:
        facts.append(("undone by", f"job {view.undo}"))
    screen.facts(facts)
    screen.text()
    screen.console.print(picture(view))
    for line in incoming(view):
        screen.text(line)


def _released(view: RolloutView) -> str:
    return f"{view.released} of {some(view.targets, 'agent')}"


def _steer(client: Client, screen: Screen, job: str, verb: str, wait_s: int | None = None) -> Exit:
    view = client.post(f"/v1/rollouts/{segment(job)}/{verb}", {}, RolloutView)
    well = True
    if wait_s is not None:
        until_s = time.monotonic() + wait_s
        for one in filter(None, (view.job, view.undo)):
            left_s = max(0, math.ceil(until_s - time.monotonic()))
            ended = until_settled(client, screen, one, left_s)
            well &= one == view.job or set(ended.counts) <= {"SUCCEEDED"}
        view = get(client, job)
    _show(screen, view)
    return Exit.OK if well else Exit.FAILED


def _preview(client: Client, screen: Screen, job: JobFile) -> None:
    job.check()
    with job.pointing():
        view = client.post("/v1/rollouts/preview", job.submission, RolloutPreview)
    if screen.as_json:
        screen.json(view)
        return
    screen.facts(
        [
            ("would go to", some(view.targets, "agent")),
            ("there for", meant(view.devices, view.unasked, view.silent_devices)),
            ("begins with", _first(view)),
            ("class", view.job_class),
            ("approvals", view.approvals_needed),
            ("metered", f"{view.metered_bytes} bytes"),
            ("done", _after(view.done_after_s)),
            *(
                ("takes the place of", f"{one.name} on {some(one.agents, 'agent')} (job {one.job})")
                for one in view.conflicts
            ),
        ]
    )
    screen.text()
    screen.table(
        ("STAGE", "MEMBERS", "AS USUAL", "SILENT", "NEVER HEARD", "METERED BYTES", "DONE"),
        [
            (
                *(one.name, one.members, one.expected, one.silent, one.never),
                *(one.metered_bytes, _after(one.done_after_s)),
            )
            for one in view.stages
        ],
    )


def _first(view: RolloutPreview) -> str:
    if not view.stages:
        return "-"
    first = view.stages[0]
    others = first.members - len(first.sample)
    return ", ".join([*first.sample, *([f"{others} more"] if others else [])])


def _after(seconds: int | None) -> str:
    if seconds is None:
        return "cannot be told: it depends on agents that are not heard of"
    days, hours, minutes = seconds // 86_400, seconds // 3_600 % 24, -(-seconds // 60) % 60
    parts = ((days, "d"), (hours, "h"), (minutes, "min"))
    said = " ".join(f"{number} {unit}" for number, unit in parts if number)
    return f"after {said}" if said else "at once"
