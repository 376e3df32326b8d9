"""`outstation triggers`: jobs that the coordinator submits by itself, and what came of that."""

from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Final

from cyclopts import App

from coordinator.cli.client import Client, segment
from coordinator.cli.documents import pointing_at, read_document
from coordinator.cli.options import DEFAULT, MOST, Common, Yes, with_client
from coordinator.cli.options import delete as delete_one
from coordinator.cli.show import Screen, ago
from coordinator.contract.common import to_wall_ms
from coordinator.contract.triggers import OccasionView, TriggerBody, TriggerView
from shared.clock import WallMs
from shared.model.schedule import find_zone, nominal_times

_COMING: Final = 3
"""Firings that are told beforehand: two show the rhythm, the third an exception of it."""

app = App(name="triggers", help="Jobs that are submitted at set times, or when something happens.")


@app.command(name="list")
def list_(*, most: int = MOST, common: Common = DEFAULT) -> None:
    """List triggers by name.

    Parameters
    ----------
    most
        At most so many.
    """
    with_client(common, lambda client, screen: _list(client, screen, most))


@app.command(name="show")
def show(trigger: str, /, *, common: Common = DEFAULT) -> None:
    """Show one trigger, what it waits for, and what it did last."""
    with_client(common, lambda client, screen: _show(client, screen, trigger))


@app.command(name="save")
def save(file: Path, /, *, common: Common = DEFAULT) -> None:
    """Keep the trigger in a TOML or JSON file; one of the same name says this from now on.

    What that did stays in its history; if it rests, it goes on resting.
    """
    trigger = read_document(file, TriggerBody, name=file.stem)
    with pointing_at(lambda member: f"{file}: {member}"):
        with_client(common, lambda client, screen: _save(client, screen, trigger))


@app.command(name="pause")
def pause(trigger: str, /, *, common: Common = DEFAULT) -> None:
    """Let a trigger rest; what it would fire for meanwhile is not made up."""
    with_client(common, lambda client, screen: _steer(client, screen, trigger, "pause"))


@app.command(name="resume")
def resume(trigger: str, /, *, common: Common = DEFAULT) -> None:
    """Let a trigger fire again from now on."""
    with_client(common, lambda client, screen: _steer(client, screen, trigger, "resume"))


@app.command(name="delete")
def delete(trigger: str, /, *, yes: Yes = False, common: Common = DEFAULT) -> None:
    """End a trigger; jobs that it submitted stay."""
    path = f"/v1/triggers/{segment(trigger)}"
    delete_one(common, f"trigger {trigger}", path, TriggerView, yes=yes, said=lambda _: "")


@app.command(name="history")
def history(trigger: str, /, *, most: int = 100, common: Common = DEFAULT) -> None:
    """Show what a trigger did, newest first.

    Parameters
    ----------
    most
        At most so many.
    """
    with_client(common, lambda client, screen: _history(client, screen, trigger, most))


def _list(client: Client, screen: Screen, most: int) -> None:
    found = list(client.pages("/v1/triggers", TriggerView, {}, most=most))
    if screen.as_json:
        screen.json(found)
    elif not found:
        screen.text("there is no trigger yet")
    else:
        screen.table(
            ("TRIGGER", "WHEN", "SUBMITS", "STANDS", "LAST", "NEXT"),
            [
                (
                    *(one.trigger.name, _when(one.trigger), _what(one.trigger)),
                    *("paused" if one.paused else "armed", _last(one), _next(one)),
                )
                for one in found
            ],
        )


def _show(client: Client, screen: Screen, name: str) -> None:
    view = client.get(f"/v1/triggers/{segment(name)}", TriggerView)
    if screen.as_json:
        screen.json(view)
        return
    one = view.trigger
    screen.facts(
        [
            ("trigger", one.name),
            *([("about", one.about)] if one.about else []),
            ("when", _when(one)),
            ("submits", _what(one)),
            ("in the name of", view.author),
            ("at most", f"{one.max_per_hour} an hour"),
            ("stands", "paused" if view.paused else "armed"),
            ("saved", f"{ago(view.saved_at)} by {view.saved_by}"),
            ("last", _last(view)),
            *(("next", one) for one in _coming(view)),
        ]
    )
    screen.text()
    _history(client, screen, name, most=10)


def _save(client: Client, screen: Screen, trigger: TriggerBody) -> None:
    view = client.post("/v1/triggers", trigger, TriggerView)
    if screen.as_json:
        screen.json(view)
    elif view.paused:
        mend = f"outstation triggers resume {trigger.name}"
        screen.text(f"trigger {trigger.name} is still paused: {_when(view.trigger)}; {mend}")
    else:
        screen.text(f"trigger {trigger.name} is armed: {_when(view.trigger)}; next {_next(view)}")


def _steer(client: Client, screen: Screen, name: str, verb: str) -> None:
    view = client.post(f"/v1/triggers/{segment(name)}/{verb}", {}, TriggerView)
    if screen.as_json:
        screen.json(view)
    else:
        screen.text(f"trigger {name} is {'paused' if view.paused else 'armed'}")


def _history(client: Client, screen: Screen, name: str, most: int) -> None:
    path = f"/v1/triggers/{segment(name)}/firings"
    found = list(client.pages(path, OccasionView, {}, most=most))
    if screen.as_json:
        screen.json(found)
    elif not found:
        screen.text("it has not fired yet")
    else:
        screen.table(
            ("AT (UTC)", "OCCASION", "AGENT", "OUTCOME", "JOB", "DETAIL"),
            [
                (
                    *(f"{one.at:%Y-%m-%d %H:%M:%S}", one.occasion, one.agent or "-", one.outcome),
                    *(one.job or "-", one.detail or "-"),
                )
                for one in found
            ],
        )


def _when(one: TriggerBody) -> str:
    if one.event is not None:
        event = one.event
        of = f" {event.of}" if event.of else ""
        below = f" below {event.below_mb} MB" if event.below_mb else ""
        where = f" where {event.selector}" if event.selector else ""
        return f"{event.kind}{of}{below}{where}"
    times = one.schedule
    if times is None:
        return "-"
    if times.at is not None:
        return f"at {times.at:%Y-%m-%d %H:%M:%S} UTC"
    return f"{times.cron} ({times.zone})" if times.cron else f"every {times.interval_s} s"


def _what(one: TriggerBody) -> str:
    return f"{one.template}@{one.version}" if one.template else "a job of its own"


def _last(view: TriggerView) -> str:
    return "-" if view.last_at is None else f"{ago(view.last_at)}: {view.last_outcome}"


def _next(view: TriggerView) -> str:
    if view.next_at is None:
        return "when it happens" if view.trigger.event is not None and not view.paused else "-"
    return f"{view.next_at:%Y-%m-%d %H:%M:%S} UTC"


def _coming(view: TriggerView) -> list[str]:
    """Return the next firings, by the clock of the place that the schedule is written for."""
    times = view.trigger.schedule
    if view.next_at is None or times is None:
        return [_next(view)]
    table = times.to_schedule()
    zone = find_zone(table.zone, site="UTC", where="zone")
    before_next = WallMs(to_wall_ms(view.next_at) - 1)
    coming = islice(nominal_times(table, before_next, zone), _COMING)
    return [
        f"{datetime.fromtimestamp(at_ms / 1000, zone):%a %Y-%m-%d %H:%M:%S %Z}" for at_ms in coming
    ]
