"""`outstation schedules`, `rules` and `alarms`: what runs by itself out there, and what it did."""

import sys
from typing import Annotated, Literal

from cyclopts import App, Parameter

from coordinator.cli.client import Client, segment
from coordinator.cli.options import DEFAULT, MOST, Common, with_client
from coordinator.cli.show import Screen, ago, count
from coordinator.contract.job_spec import SpecBody
from coordinator.contract.jobs import JobView
from coordinator.contract.standing import (
    AlarmView,
    FiringView,
    StandingKind,
    StandingView,
)
from shared.model.job import Value
from shared.words import some

schedules = App(name="schedules", help="Jobs that agents do again and again at their times.")
rules = App(name="rules", help="Conditions that agents watch by themselves.")
alarms = App(name="alarms", help="What rules had to say.")


@schedules.command(name="list")
def schedules_list(*, most: int = 50, common: Common = DEFAULT) -> None:
    """List schedules, newest first.

    Parameters
    ----------
    most
        At most so many.
    """
    with_client(common, lambda client, screen: _list(client, screen, "schedule", most))


@schedules.command(name="show")
def schedules_show(job: str, /, *, common: Common = DEFAULT) -> None:
    """Show one schedule and where it stands on every agent."""
    with_client(common, lambda client, screen: _show(client, screen, job))


@rules.command(name="list")
def rules_list(*, most: int = 50, common: Common = DEFAULT) -> None:
    """List rules, newest first.

    Parameters
    ----------
    most
        At most so many.
    """
    with_client(common, lambda client, screen: _list(client, screen, "rule", most))


@rules.command(name="show")
def rules_show(job: str, /, *, common: Common = DEFAULT) -> None:
    """Show one rule and where it stands on every agent."""
    with_client(common, lambda client, screen: _show(client, screen, job))


@alarms.command(name="list")
def alarms_list(
    *,
    severity: Annotated[
        Literal["", "info", "warning", "critical"], Parameter(show_choices=True)
    ] = "",
    agent: str = "",
    job: str = "",
    most: int = 50,
    common: Common = DEFAULT,
) -> None:
    """List alarms, newest first.

    Parameters
    ----------
    severity
        Only these: info, warning or critical.
    agent
        Only of this agent.
    job
        Only of this rule.
    most
        At most so many.
    """
    query = {"severity": severity, "agent": agent, "job": job}
    with_client(common, lambda client, screen: _alarms(client, screen, query, most))


def history(client: Client, screen: Screen, job: str, *, agent: str, most: int) -> None:
    """Print what a standing job did, newest first."""
    path = f"/v1/jobs/{segment(job)}/firings"
    found = list(client.pages(path, FiringView, {"agent": agent}, most=most))
    if screen.as_json:
        screen.json(found)
        return
    if not found:
        screen.text("nothing was told of it yet: agents tell it with their next contacts")
        return
    screen.table(
        ("AGENT", "DEVICE", "LAST (UTC)", "FIRST (UTC)", "TIMES", "STATE", "RESULT"),
        [
            (
                *(one.agent, one.device, f"{one.last_at:%Y-%m-%d %H:%M:%S}"),
                *(f"{one.first_at:%Y-%m-%d %H:%M:%S}", one.count, one.state, _result(one)),
            )
            for one in found
        ],
    )


def standing_of(client: Client, agent: str) -> list[StandingView]:
    """Return the schedules and rules of an agent that still stand."""
    found = client.pages("/v1/standing", StandingView, {"agent": agent}, most=MOST)
    return [one for one in found if one.armed or one.state == "QUEUED"]


def standing_table(screen: Screen, found: list[StandingView]) -> None:
    """Print where standing jobs stand, one agent's or one job's."""
    screen.table(
        ("AGENT", "JOB", "NAME", "KIND", "STANDS", "FIRINGS", "LAST", "NEXT"),
        [
            (
                *(one.agent, one.job, one.name, one.kind, _stands(one), one.firings),
                *(_last(one), _next(one)),
            )
            for one in found
        ],
    )


def _list(client: Client, screen: Screen, kind: StandingKind, most: int) -> None:
    found = list(client.pages("/v1/jobs", JobView, {"standing": kind}, most=most))
    if screen.as_json:
        screen.json(found)
        return
    if not found:
        screen.text(f"no {kind} has been handed in yet")
        return
    screen.table(
        ("JOB", "NAME", "WHEN", "STATE", "AGENTS", "UNTIL (UTC)"),
        [
            (
                *(job.id, job.name, when(job.spec), job.state, count(job.counts)),
                f"{job.not_after:%Y-%m-%d %H:%M}",
            )
            for job in found
        ],
    )


def _show(client: Client, screen: Screen, job_id: str) -> None:
    job = client.get(f"/v1/jobs/{segment(job_id)}", JobView)
    found = list(client.pages("/v1/standing", StandingView, {"job": job.id}, most=sys.maxsize))
    if screen.as_json:
        screen.json({"job": job, "standing": found})
        return
    screen.facts(
        [
            ("job", job.id),
            ("name", job.name),
            ("when", when(job.spec)),
            ("state", job.state),
            ("fires until", f"{job.not_after:%Y-%m-%d %H:%M} UTC"),
            ("steps", " -> ".join(f"{one.id} ({one.action})" for one in job.spec.steps) or "-"),
            ("armed on", f"{sum(one.armed for one in found)} of {some(job.targets, 'agent')}"),
        ]
    )
    screen.text()
    standing_table(screen, sorted(found, key=lambda one: one.agent))


def _alarms(client: Client, screen: Screen, query: dict[str, str], most: int) -> None:
    found = list(client.pages("/v1/alarms", AlarmView, query, most=most))
    if screen.as_json:
        screen.json(found)
        return
    if not found:
        screen.text("no alarm")
        return
    screen.table(
        ("AT (UTC)", "SEVERITY", "AGENT", "DEVICE", "TEXT", "VALUES", "TIMES", "RULE"),
        [
            (
                *(f"{one.last_at:%Y-%m-%d %H:%M:%S}", one.severity, one.agent, one.device),
                *(one.text, _values(one.values), one.count, one.name or "-"),
            )
            for one in found
        ],
    )


def when(spec: SpecBody) -> str:
    """Return when a standing job fires, in one line."""
    if spec.rule is not None:
        held = f" for {spec.rule.for_s} s" if spec.rule.for_s else ""
        return spec.rule.condition + held
    schedule = spec.schedule
    if schedule is None:
        return "once"
    if schedule.at is not None:
        return f"at {schedule.at:%Y-%m-%d %H:%M:%S} UTC"
    every = schedule.cron or f"every {schedule.interval_s} s"
    return f"{every} ({schedule.zone})" if schedule.cron else every


def _stands(one: StandingView) -> str:
    if one.canceling:
        return "is called off"
    if one.armed:
        return "armed"
    return f"{one.state}: {one.reason}" if one.reason else one.state


def _last(one: StandingView) -> str:
    if one.last_at is None:
        return "-"
    why = f": {one.last_reason}" if one.last_reason else ""
    return f"{ago(one.last_at)}, {one.last_state}{why}"


def _next(one: StandingView) -> str:
    return "-" if one.next_at is None else f"{one.next_at:%Y-%m-%d %H:%M:%S} UTC ({one.zone})"


def _result(one: FiringView) -> str:
    why = ": ".join(part for part in (one.reason, one.detail) if part)
    return "; ".join(part for part in (_values(one.result), why) if part)


def _values(values: dict[str, Value]) -> str:
    return ", ".join(f"{name}={value}" for name, value in values.items() if "._" not in name)
