"""`outstation jobs retry`, `clone`, `log` and `execution`: once more, and what really happened."""

from dataclasses import dataclass
from typing import Annotated

from cyclopts import Parameter

from coordinator.cli.client import Client, Exit, segment
from coordinator.cli.explain import explain
from coordinator.cli.jobs import accepted
from coordinator.cli.show import Screen
from coordinator.contract.audit import Detail
from coordinator.contract.job_parts import TargetsBody
from coordinator.contract.jobs import ExecutionView, FactView, JobView
from coordinator.contract.repeats import CloneWish, JobEvent, RetryWish


@Parameter(name="*")
@dataclass(frozen=True)
class To:
    """Whom a clone is for, if not whom the old job was for."""

    agent: Annotated[tuple[str, ...], Parameter(help="on this agent instead", negative="")] = ()
    selector: Annotated[str, Parameter(help="on agents with such labels instead")] = ""
    device_selector: Annotated[str, Parameter(help="on these devices of theirs")] = ""

    @property
    def wish(self) -> CloneWish:
        """Return what is asked of the coordinator."""
        if not (self.agent or self.selector or self.device_selector):
            return CloneWish()
        targets = TargetsBody(
            agents=list(self.agent),
            selector=self.selector,
            device_selector=self.device_selector,
        )
        return CloneWish(targets=targets)


AS_BEFORE = To()


def again(
    client: Client, screen: Screen, job: str, wish: RetryWish | CloneWish, wait_s: int | None
) -> Exit:
    """Hand a job in once more."""
    verb = "retry" if isinstance(wish, RetryWish) else "clone"
    view = client.post(f"/v1/jobs/{segment(job)}/{verb}", wish, JobView)
    return accepted(client, screen, view, None if view.standing else wait_s)


def show_log(client: Client, screen: Screen, job: str, most: int) -> None:
    """Print what was done about a job, newest first."""
    found = list(client.pages(f"/v1/jobs/{segment(job)}/history", JobEvent, {}, most=most))
    if screen.as_json:
        screen.json(found)
        return
    screen.table(
        ("AT (UTC)", "WHO", "WHAT", "WHY"),
        [(f"{one.at:%Y-%m-%d %H:%M:%S}", one.who, one.what, _why(one.why)) for one in found],
    )


def show_execution(client: Client, screen: Screen, execution: str) -> None:
    """Print one execution with all that its agent told of it, in the agent's order."""
    view = client.get(f"/v1/executions/{segment(execution)}", ExecutionView)
    if screen.as_json:
        screen.json(view)
        return
    replaced = [("replaced by", f"job {view.superseded_by}")] if view.superseded_by else []
    screen.facts(
        [
            ("execution", view.id),
            ("job", view.job),
            ("agent", view.agent),
            ("state", f"{view.state}: {explain(view)}"),
            *replaced,
            *([("trace", view.trace)] if view.trace else []),
        ]
    )
    screen.text()
    screen.table(
        ("NUMBER", "AT (UTC)", "DEVICE", "STATE", "TRY", "WHY", "TOLD (UTC)"),
        [_fact(one) for one in view.history],
    )
    if view.has_earlier:
        screen.text("What the agent told before that is not shown.")


def _fact(one: FactView) -> tuple[object, ...]:
    why = ": ".join(part for part in (one.reason, one.detail) if part)
    at, told = (f"{time:%Y-%m-%d %H:%M:%S}" for time in (one.wall, one.received_at))
    return one.number, at, one.device or "-", one.state, one.attempt, why or "-", told


def _why(detail: Detail) -> str:
    return ", ".join(f"{name}={value}" for name, value in detail.items() if value not in {"", None})
