"""Triggers as people keep them: saved, shown, paused, deleted.

Saving checks everything that firing will need, pins the template's version, and refuses a circle
of jobs that would set each other off for ever. Saving a name again changes what it says, not what
it did, nor that it rests. Leaves out firing
(`coordinator.transactions.trigger_firings`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, tzinfo
from typing import Final

import msgspec
from msgspec.structs import replace

from coordinator.contract.common import to_time
from coordinator.contract.job_parts import TargetsBody
from coordinator.contract.job_spec import JobSubmission, place_in_body, to_spec
from coordinator.contract.signed_form import signed_form
from coordinator.contract.template_values import fill
from coordinator.contract.templates import TemplateBody, TemplateUse
from coordinator.contract.triggers import TriggerBody, TriggerView
from coordinator.core.audit import split_actor
from coordinator.core.ports import Row, Scalar, Tx, execute, fetch, fetch_one
from coordinator.transactions.rows import audit, to_json
from coordinator.transactions.templates import view_template
from shared import limits
from shared.clock import Entropy, WallMs
from shared.errors import MistakeError
from shared.ids import is_name, uuid7, uuid_text
from shared.model.schedule import SITE, Schedule, check_schedule, find_zone, next_nominal
from shared.model.selector import parse_selector
from shared.model.spec_check import check_spec

SCHEDULE: Final = "schedule"
JOB: Final = "job."
_SAMPLE: Final = "sample"
"""The agent and device that stand for those of an event while a trigger is checked."""


class Kept(msgspec.Struct, frozen=True):
    """A trigger as its row keeps it."""

    trigger: TriggerBody
    makes: str
    """The name of the jobs that it submits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Saver:
    """Who saves a trigger, and when."""

    actor: str
    author: str
    now_ms: WallMs


def save_trigger(trigger: TriggerBody, saver: Saver, entropy: Entropy) -> Tx[TriggerView]:
    """Keep a trigger under its name; one that had it says this from now on, also while it rests.

    Raises:
        MistakeError: names the member at fault.
    """
    schedule = _check(trigger)
    trigger = yield from _pinned(trigger)
    makes = yield from _makes(trigger)
    yield from _check_circle(trigger, makes)
    now_ms = saver.now_ms
    before = yield from fetch_one("trigger_named", trigger.name)
    if before is None:
        yield from _check_room()
    else:
        yield from execute("trigger_forget_waiting", before[0])
    says = _columns(Kept(trigger, makes), schedule, saver)
    if before is None:
        fresh = uuid7(now_ms, entropy.token(10))
        yield from execute("trigger_insert", fresh, trigger.name, *says)
    else:
        yield from execute("trigger_replace", before[0], *says)
    yield from audit(
        now_ms,
        actor=saver.actor,
        action="trigger.save",
        object_=f"trigger:{trigger.name}",
        detail={"template": trigger.template, "version": trigger.version, "makes": makes},
    )
    view = yield from view_trigger(trigger.name)
    assert view is not None, "it was just saved"
    return view


def _check_room() -> Tx[None]:
    counted = yield from fetch_one("triggers_counted")
    assert counted is not None, "an aggregate always answers"
    if counted[0] >= limits.TRIGGERS:
        raise MistakeError(f"there are {limits.TRIGGERS} triggers already", where="name")


def _columns(kept: Kept, schedule: Schedule | None, saver: Saver) -> tuple[Scalar, ...]:
    """Return what a row says of a trigger from the moment on that it is saved."""
    event, now_ms = kept.trigger.event, saver.now_ms
    return (
        SCHEDULE if event is None else event.kind,
        to_json(kept),
        saver.author,
        "" if event is None else event.selector,
        0 if event is None else event.below_mb,
        "" if event is None else event.of,
        now_ms,
        split_actor(saver.actor)[0],
        None if schedule is None else next_nominal(schedule, now_ms, zone_of(schedule)),
    )


def view_trigger(name: str) -> Tx[TriggerView | None]:
    """Return a trigger, None when there is none of this name."""
    row = yield from fetch_one("trigger_named", name)
    return None if row is None else (yield from _view(row))


def list_triggers(*, after: str, size: int) -> Tx[tuple[list[TriggerView], bool]]:
    """Return up to `size` triggers after a name, and whether there are more."""
    rows = yield from fetch("triggers_after", after, size + 1)
    views = []
    for row in rows[:size]:
        view = yield from _view(row)
        views.append(view)
    return views, len(rows) > size


def pause_trigger(name: str, *, pause: bool, actor: str, now_ms: WallMs) -> Tx[TriggerView | None]:
    """Let a trigger rest, or fire again from now on; what passed meanwhile is not made up."""
    row = yield from fetch_one("trigger_named", name)
    if row is None:
        return None
    if pause:
        yield from execute("trigger_pause", row[0], now_ms)
        yield from execute("trigger_forget_waiting", row[0])
    else:
        schedule = _schedule_of(kept_of(row).trigger)
        due_ms = None if schedule is None else next_nominal(schedule, now_ms, zone_of(schedule))
        yield from execute("trigger_resume", row[0], now_ms, due_ms)
    yield from audit(
        now_ms,
        actor=actor,
        action="trigger.pause" if pause else "trigger.resume",
        object_=f"trigger:{name}",
        detail={},
    )
    return (yield from view_trigger(name))


def delete_trigger(name: str, *, actor: str, now_ms: WallMs) -> Tx[TriggerView | None]:
    """End a trigger; the jobs that it submitted stay. Returns what it was."""
    row = yield from fetch_one("trigger_named", name)
    if row is None:
        return None
    view = yield from _view(row)
    yield from execute("trigger_delete", row[0], now_ms)
    yield from execute("trigger_forget_waiting", row[0])
    yield from audit(
        now_ms, actor=actor, action="trigger.delete", object_=f"trigger:{name}", detail={}
    )
    return view


def kept_of(row: Row) -> Kept:
    """Return the trigger in a row."""
    return msgspec.json.decode(row[3], type=Kept)


def zone_of(schedule: Schedule) -> tzinfo:
    """Return the zone of a coordinator's schedule."""
    try:
        return find_zone(schedule.zone, site="UTC", where="schedule.zone")
    except MistakeError:
        return UTC  # the zone's data were taken from this machine since


def submission_of(trigger: TriggerBody, *, agent: str, device: str) -> Tx[JobSubmission]:
    """Return the job that a trigger submits about an agent, or a device of it.

    Raises:
        MistakeError: its template is gone, or no longer fits its values.
    """
    targets = trigger.targets
    if trigger.here:
        only = f"id={device}" if trigger.here == "device" else ""
        targets = TargetsBody(agents=[agent], device_selector=only)
    if trigger.job is not None:
        template = TemplateBody(name=trigger.name, job=trigger.job)
        return fill(template, TemplateUse(targets=targets))
    found = yield from view_template(trigger.template, trigger.version)
    if found is None:
        raise MistakeError(
            f"there is no template {trigger.template!r}",
            where="template",
            mend="outstation templates list shows them",
        )
    return fill(found, TemplateUse(values=trigger.values, targets=targets))


def _check(trigger: TriggerBody) -> Schedule | None:
    """Return the schedule of a trigger that has one, after every check that needs no database."""
    if not is_name(trigger.name):
        mend = "use up to 40 lower case letters, digits and hyphens"
        raise MistakeError(f"the name {trigger.name[:60]!r} is not usable", where="name", mend=mend)
    if (trigger.schedule is None) == (trigger.event is None):
        raise MistakeError("a trigger has either a schedule or an event", where="schedule")
    if bool(trigger.template) == (trigger.job is not None):
        raise MistakeError("a trigger has either a template or a job", where="template")
    _check_event(trigger)
    if trigger.here and trigger.targets is not None:
        raise MistakeError("it has targets of its own", where="here", mend="leave one of them out")
    schedule = _schedule_of(trigger)
    if schedule is None:
        return None
    if schedule.zone == SITE:
        mend = "name a zone, or give the job itself a schedule: its agents keep that by site time"
        raise MistakeError("the coordinator stands on no site", where="schedule.zone", mend=mend)
    check_schedule(schedule, where="schedule")
    return schedule


def _check_event(trigger: TriggerBody) -> None:
    event = trigger.event
    if event is None:
        if trigger.here:
            raise MistakeError("a schedule is about no agent", where="here", mend="give targets")
        return
    if event.selector:
        parse_selector(event.selector, where="event.selector")
    is_job = event.kind.startswith(JOB)
    if is_job != bool(event.of):
        said = "it needs the name of a job" if is_job else "only an event job.* is of a job"
        raise MistakeError(said, where="event.of")
    if (event.kind == "disk.filling") != bool(event.below_mb):
        raise MistakeError("disk.filling, and only it, says below how much", where="event.below_mb")
    if is_job and (trigger.here or event.selector):
        raise MistakeError("a job's end is about no single agent", where="here")
    if trigger.here == "device" and not event.kind.startswith(("device.", "config.")):
        raise MistakeError(f"{event.kind} is about no device", where="here", mend="say agent")


def _schedule_of(trigger: TriggerBody) -> Schedule | None:
    return None if trigger.schedule is None else trigger.schedule.to_schedule()


def _pinned(trigger: TriggerBody) -> Tx[TriggerBody]:
    if not trigger.template or trigger.version is not None:
        return trigger
    found = yield from view_template(trigger.template)
    return trigger if found is None else replace(trigger, version=found.version)


def _makes(trigger: TriggerBody) -> Tx[str]:
    """Return the name of a trigger's jobs, after filling one in as a trial."""
    body = yield from submission_of(trigger, agent=_SAMPLE, device=_SAMPLE)
    try:
        spec = to_spec(body)
        check_spec(spec)
        signed_form(spec)
    except MistakeError as error:
        where = f"job.{place_in_body(error.where)}"
        raise MistakeError(error.what, where=where, mend=error.mend) from None
    if not body.targets.agents and not body.targets.selector:
        mend = 'give targets, or here = "agent" with an event'
        raise MistakeError("the job has no target", where="targets", mend=mend)
    return body.name


def _check_circle(trigger: TriggerBody, makes: str) -> Tx[None]:
    """Refuse a job whose end would, by some way, submit itself again.

    Raises:
        MistakeError: names the way.
    """
    if trigger.event is None or not trigger.event.of:
        return
    leads: dict[str, set[str]] = {}
    for of_job, document in (yield from fetch("trigger_edges")):
        kept = msgspec.json.decode(document, type=Kept)
        if kept.trigger.name != trigger.name:
            leads.setdefault(of_job, set()).add(kept.makes)
    way = _way(leads, makes, trigger.event.of)
    if way:
        raise MistakeError(
            f"jobs would set each other off for ever: {' -> '.join([trigger.event.of, *way])}",
            where="event.of",
            mend="break the circle, for example with another job name",
        )


def _way(leads: Mapping[str, set[str]], start: str, goal: str) -> list[str]:
    """Return the names on a way from `start` to `goal`, empty when there is none."""
    ways, seen = [[start]], {start}
    while ways:
        way = ways.pop(0)
        if way[-1] == goal:
            return way
        for name in sorted(leads.get(way[-1], set()) - seen):
            seen.add(name)
            ways.append([*way, name])
    return []


def _view(row: Row) -> Tx[TriggerView]:
    trigger_id, _, _, _, author, _, saved_ms, saved_by, paused_ms, _, due_ms, _ = row
    newest = yield from fetch_one("trigger_newest_firing", trigger_id)
    at_ms, outcome, job = newest or (None, "", None)
    return TriggerView(
        trigger=kept_of(row).trigger,
        author=author,
        saved_at=to_time(saved_ms),
        saved_by=saved_by,
        paused=paused_ms is not None,
        next_at=None if due_ms is None or paused_ms is not None else to_time(due_ms),
        last_at=None if at_ms is None else to_time(at_ms),
        last_outcome=outcome,
        last_job=None if job is None else uuid_text(job),
    )
