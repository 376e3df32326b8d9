"""How a rollout looks: once, and as it goes on until it is over.

Leaves out steering it (`coordinator.cli.rollouts`) and how a wait is kept up (`waiting`).
"""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import datetime
from typing import Final

from rich.live import Live
from rich.table import Table

from coordinator.cli.client import CallError, Client, Exit, segment
from coordinator.cli.show import Screen, ago, count
from coordinator.cli.waiting import Wait, leaving, looks
from coordinator.contract.jobs import JobView
from coordinator.contract.rollouts import OVER, RolloutView, StageView

_BAR: Final = 20
_LEFT: Final = {"SCHEDULED": "NEVER OPENED", "RUNNING": "LEFT", "SOAKING": "LEFT"}
"""What a stage that did not finish is called once the rollout is over."""


def get(client: Client, job: str, hold_s: int = 0) -> RolloutView:
    """Return a rollout; with `hold_s`, when something changed or so many seconds are over."""
    if hold_s:
        client.get(f"/v1/jobs/{segment(job)}", JobView, wait_s=hold_s)
    return client.get(f"/v1/rollouts/{segment(job)}", RolloutView)


def watch(client: Client, screen: Screen, job: str, span_s: int) -> Exit:
    """Show a rollout whenever it changed, until it is over; OK only if it finished.

    Raises:
        CallError: TIMED_OUT or INTERRUPTED: it goes on; or it is refused.
    """
    last = None
    wait = Wait(job=job, look=lambda hold_s: get(client, job, hold_s), span_s=span_s)
    with leaving(_goes_on(job)), _canvas(screen) as live:
        for view in looks(client, screen, wait):
            if view != last:
                _draw(screen, live, view)
            last = view
            if view.state in OVER:
                return Exit.OK if view.state == "FINISHED" else Exit.FAILED
    assert last is not None, "a wait begins with a look"
    raise CallError(
        f"the rollout is not over after {span_s} s: {last.state} {where(last)}; it goes on",
        Exit.TIMED_OUT,
    )


def _goes_on(job: str) -> str:
    return (
        f"you watch no longer; the rollout goes on: outstation rollouts watch {job} follows it "
        f"again, outstation rollouts pause {job} stops it"
    )


def where(one: RolloutView) -> str:
    """Return which stage is the newest that opened, and of how many."""
    opened = [stage.name for stage in one.stages if stage.opened_at is not None]
    return f"{opened[-1]} ({len(opened)}/{len(one.stages)})" if opened else "-"


def released(one: RolloutView) -> str:
    """Return how many have the job or had it, of how many."""
    return f"{one.released}/{one.targets}"


def picture(view: RolloutView) -> Table:
    """Return a rollout's stages as a table."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for head in ("STAGE", "STATE", "MEMBERS", "PROGRESS", "EXECUTIONS", "GATE"):
        table.add_column(head, overflow="fold")
    for stage in view.stages:
        state = _LEFT.get(stage.state, stage.state) if view.state in OVER else stage.state
        cells = (stage.name, state, str(stage.members), _bar(stage), count(stage.counts))
        table.add_row(*cells, stage.gate or "-")
    return table


def incoming(view: RolloutView) -> list[str]:
    """Return how far firmware has come into devices, a line for each gateway."""
    devices = defaultdict[tuple[str, datetime], list[str]](list)
    for one in view.incoming:
        devices[one.agent, one.at].append(f"{one.device} {one.permille // 10} %")
    return [
        f"firmware at {agent}: {', '.join(named)} ({ago(at)})"
        for (agent, at), named in devices.items()
    ]


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
        screen.text(f"{view.name} {view.state} {where(view)} {released(view)}{why}")
        for line in incoming(view):
            screen.text(f"  {line}")
    else:
        shown = picture(view)
        caption = f"{view.name} {view.state} {released(view)} {'; '.join(view.why)}"
        shown.caption = "\n".join((caption, *incoming(view)))
        live.update(shown, refresh=True)
