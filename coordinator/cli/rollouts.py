"""`outstation rollouts`: how a job goes over the fleet, why it waits, and steering it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Final

from cyclopts import App
from rich.live import Live
from rich.table import Table

from coordinator.cli.client import Client, Exit, segment
from coordinator.cli.job_file import JobFile, read_job
from coordinator.cli.options import DEFAULT, Common, ask_first, with_client
from coordinator.cli.rollouts_report import report as tell
from coordinator.cli.show import Screen, ago, count
from coordinator.contract.jobs import ExecutionView, JobView
from coordinator.contract.rollouts import OVER, RolloutPreview, RolloutView, StageView

app = App(name="rollouts", help="Jobs that go over the fleet in stages: watch, steer, take back.")
_LONG_POLL_S: Final = 10
"""A change between two questions is seen so late at most."""
_REDRAW_S: Final = 0.5
"""A busy rollout is drawn no oftener: nobody reads faster."""
_BAR: Final = 20
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
    with_client(common, lambda client, screen: _show(screen, _get(client, job)))


@app.command(name="report")
def report(job: str, /, *, common: Common = DEFAULT) -> None:
    """Tell what each gateway really did, if it was undone, and how that is known."""
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
def cancel(job: str, /, *, common: Common = DEFAULT) -> None:
    """Call the job off everywhere; what it did stays done."""
    with_client(common, lambda client, screen: _steer(client, screen, job, "cancel"))


@app.command(name="rollback")
def rollback(job: str, /, *, yes: bool = False, common: Common = DEFAULT) -> Exit:
    """Call the job off and undo it, by its compensation, wherever it had succeeded.

    Parameters
    ----------
    yes
        Do not ask.
    """
    if not ask_first(f"undo job {job} on every agent where it succeeded?", yes=yes):
        return Exit.FAILED
    with_client(common, lambda client, screen: _steer(client, screen, job, "rollback"))
    return Exit.OK


@app.command(name="watch")
def watch(job: str, /, *, common: Common = DEFAULT) -> Exit:
    """Follow a rollout until it is over; exit status 0 only if it finished.

    With --json one line for each change.
    """
    return with_client(common, lambda client, screen: _watch(client, screen, job))


def _report(client: Client, screen: Screen, job: str) -> None:
    view = _get(client, job)
    rows = tell(_executions(client, job), _executions(client, view.undo) if view.undo else [])
    if screen.as_json:
        screen.json([row._asdict() for row in rows])
        return
    screen.text(f"{view.name}: {view.state}, {_released(view)} agents have it or had it")
    screen.table(("AGENT", "WHAT IT DID", "UNDOING", "HOW THAT IS KNOWN"), rows)


def _executions(client: Client, job: str) -> Iterator[ExecutionView]:
    return client.pages("/v1/executions", ExecutionView, {"job": job}, most=_REPORTED)


def _get(client: Client, job: str) -> RolloutView:
    return client.get(f"/v1/rollouts/{segment(job)}", RolloutView)


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
            (one.job, one.name, one.state, _where(one), _released(one), "; ".join(one.why))
            for one in found
        ],
    )


def _where(one: RolloutView) -> str:
    opened = [stage.name for stage in one.stages if stage.opened_at is not None]
    return f"{opened[-1]} ({len(opened)}/{len(one.stages)})" if opened else "-"


def _released(one: RolloutView) -> str:
    return f"{one.released}/{one.targets}"


def _show(screen: Screen, view: RolloutView) -> None:
    if screen.as_json:
        screen.json(view)
        return
    facts: list[tuple[str, object]] = [
        ("job", view.job),
        ("name", view.name),
        ("state", view.state),
        ("released", f"{_released(view)} agents"),
        ("submitted", f"{ago(view.created_at)} by {view.created_by}"),
    ]
    facts += [("why", why) for why in view.why]
    if view.next_look_at is not None and view.state not in OVER:
        facts.append(("goes on at", f"{view.next_look_at:%Y-%m-%d %H:%M:%S} UTC at the latest"))
    if view.undo is not None:
        facts.append(("undone by", f"job {view.undo}"))
    screen.facts(facts)
    screen.text()
    screen.console.print(_picture(view))


def _picture(view: RolloutView) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for head in ("STAGE", "STATE", "MEMBERS", "PROGRESS", "EXECUTIONS", "GATE"):
        table.add_column(head, overflow="fold")
    for stage in view.stages:
        cells = (stage.name, stage.state, str(stage.members), _bar(stage), count(stage.counts))
        table.add_row(*cells, stage.gate or "-")
    return table


def _bar(stage: StageView) -> str:
    """Return how much of a stage succeeded (#), failed (x), is out (-), and waits (.)."""
    if not stage.members:
        return ""
    released = stage.members - stage.waiting
    ends = (stage.succeeded, stage.executed, released, stage.members)
    places = [min(_BAR, round(end * _BAR / stage.members)) for end in ends]
    drawn, before = "", 0
    for mark, place in zip("#x-.", places, strict=True):
        drawn += mark * max(0, place - before)
        before = max(before, place)
    return drawn


def _steer(client: Client, screen: Screen, job: str, verb: str) -> None:
    view = client.post(f"/v1/rollouts/{segment(job)}/{verb}", {}, RolloutView)
    _show(screen, view)


def _preview(client: Client, screen: Screen, job: JobFile) -> None:
    job.check()
    with job.pointing():
        view = client.post("/v1/rollouts/preview", job.submission, RolloutPreview)
    if screen.as_json:
        screen.json(view)
        return
    screen.facts(
        [
            ("would go to", f"{view.targets} agents"),
            ("class", view.job_class),
            ("approvals", view.approvals_needed),
            ("metered", f"{view.metered_bytes} bytes"),
            ("done", _after(view.done_after_s)),
            *(
                ("takes the place of", f"{one.name} on {one.agents} agents (job {one.job})")
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


def _after(seconds: int | None) -> str:
    if seconds is None:
        return "cannot be told: it depends on agents that are not heard of"
    days, hours, minutes = seconds // 86_400, seconds // 3_600 % 24, -(-seconds // 60) % 60
    parts = ((days, "d"), (hours, "h"), (minutes, "min"))
    said = " ".join(f"{number} {unit}" for number, unit in parts if number)
    return f"after {said}" if said else "at once"


def _watch(client: Client, screen: Screen, job: str) -> Exit:
    last = None
    with _canvas(screen) as live:
        while True:
            view = _get(client, job)
            if view != last:
                _draw(screen, live, view)
            last = view
            if view.state in OVER:
                return Exit.OK if view.state == "FINISHED" else Exit.FAILED
            client.get(f"/v1/jobs/{segment(job)}", JobView, wait_s=_LONG_POLL_S)
            time.sleep(_REDRAW_S)


@contextmanager
def _canvas(screen: Screen) -> Iterator[Live | None]:
    wanted = screen.console.is_terminal and not screen.as_json
    live = Live(console=screen.console, auto_refresh=False) if wanted else None
    with live or nullcontext():
        yield live


def _draw(screen: Screen, live: Live | None, view: RolloutView) -> None:
    if screen.as_json:
        screen.json(view)
    elif live is None:
        why = f": {'; '.join(view.why)}" if view.why else ""
        screen.text(f"{view.name} {view.state} {_where(view)} {_released(view)}{why}")
    else:
        picture = _picture(view)
        picture.caption = f"{view.name} {view.state} {_released(view)} {'; '.join(view.why)}"
        live.update(picture, refresh=True)
