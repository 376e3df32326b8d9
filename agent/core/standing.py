"""What a schedule does now: which nominal times fire, which were missed, when to look again.

Pure. Nominal times are settled by `shared.model.schedule`; here stand the clock's troubles: nobody
vouches for it, it stepped back, the agent was off. Leaves out rows (`agent.store.standing`).
"""

from dataclasses import dataclass, replace
from datetime import tzinfo
from functools import partial

from agent.core.fired import Run, count_fired, has_fired, with_fired
from agent.core.moment import Moment
from agent.core.queue import Due, due_in
from shared import limits
from shared.clock import WallMs
from shared.model.schedule import (
    Schedule,
    Unsynced,
    newest_nominal,
    next_nominal,
    nominal_times,
    to_fire,
)


@dataclass(frozen=True, slots=True)
class Missed:
    """Nominal times that passed and will not fire."""

    first_ms: WallMs
    last_ms: WallMs
    count: int
    """At least; at `limits.COUNTED_MISSES` counting ends."""


@dataclass(frozen=True, slots=True)
class Agenda:
    """What there is to do for one schedule."""

    fire: tuple[WallMs, ...]
    """Nominal times, oldest first."""
    missed: Missed | None
    last_ms: WallMs
    """Everything up to here is dealt with."""
    due: Due | None
    """When to look again; None: only when the clock is known again, or never."""
    runs: tuple[Run, ...] = ()
    """What has fired once this is done."""


def agenda(
    schedule: Schedule,
    last: WallMs,
    now: Moment,
    zone: tzinfo,
    *,
    elapsed_due: Due | None,
    runs: tuple[Run, ...] = (),
) -> Agenda:
    """Return what there is to do.

    Args:
        schedule: the table.
        last: everything up to here was dealt with; the time of admission, at first.
        now: the present, with whether anybody vouches for it.
        zone: of the schedule.
        elapsed_due: when the next firing is due by powered time alone, where that counts.
        runs: what has fired before.
    """
    found = _found(schedule, last, now, zone, (elapsed_due, runs))
    past_ms = min(now.today_ms, now.proven_ms)
    fire = tuple(nominal for nominal in found.fire if not has_fired(runs, nominal))
    for nominal in fire:
        following = partial(next_nominal, schedule, zone=zone)
        runs = with_fired(runs, nominal, following, past_ms=past_ms)
    return replace(found, fire=fire, runs=runs)


def _found(
    schedule: Schedule,
    last: WallMs,
    now: Moment,
    zone: tzinfo,
    known: tuple[Due | None, tuple[Run, ...]],
) -> Agenda:
    """Return what there is to do, whether or not it has fired before."""
    elapsed_due, runs = known
    if not now.sure and schedule.unsynced is Unsynced.SKIP:
        return Agenda((), None, last, None)
    if not now.sure and schedule.unsynced is Unsynced.ELAPSED:
        return _elapsed(schedule, last, now, zone, elapsed_due)
    last = _rebased(schedule, last, now, zone)
    fire, following = to_fire(schedule, last, now.today_ms, zone)
    before = fire[0] if fire else WallMs(now.today_ms + 1)
    missed = _missed(schedule, last, before, zone, runs)
    due = None if following is None else due_in(following - now.today_ms, now)
    return Agenda(tuple(fire), missed, WallMs(max(last, now.today_ms)), due)


def _elapsed(
    schedule: Schedule, last: WallMs, now: Moment, zone: tzinfo, due: Due | None
) -> Agenda:
    """Fire after as much powered time as lies between two nominal times."""
    nominal = next_nominal(schedule, last, zone)
    if nominal is None:
        return Agenda((), None, last, None)
    if due is None or due.boot_id != now.boot_id:
        return Agenda((), None, last, due_in(nominal - last, now))
    if now.mono_ms < due.mono_ms:
        return Agenda((), None, last, due)
    after = next_nominal(schedule, nominal, zone)
    return Agenda(
        (nominal,), None, nominal, None if after is None else due_in(after - nominal, now)
    )


def _rebased(schedule: Schedule, last: WallMs, now: Moment, zone: tzinfo) -> WallMs:
    """Return where to go on from after the clock was set back by more than a period.

    A clock that ran years ahead must not silence a schedule for years. What fired before does not
    fire again: the store remembers it.
    """
    if last <= now.today_ms:
        return last
    following = next_nominal(schedule, now.today_ms, zone)
    return last if following is None or following > last else now.today_ms


def _missed(
    schedule: Schedule, last: WallMs, before: WallMs, zone: tzinfo, runs: tuple[Run, ...]
) -> Missed | None:
    """Return the nominal times after `last` and before `before` that have not fired."""
    until = WallMs(before - 1)
    if until <= last:
        return None
    newest = newest_nominal(schedule, last, until, zone)
    if not newest:
        return None
    if schedule.interval_s:
        first = next_nominal(schedule, last, zone)
        assert first is not None, "there is a newest one"
        period = schedule.interval_s * 1000
        count = (newest[0] - first) // period + 1
        count -= count_fired(runs, first, newest[0], period)
        return Missed(first, newest[0], count) if count else None
    first_ms, count = newest[0], 0
    for nominal in nominal_times(schedule, last, zone):
        if nominal > until or count >= limits.COUNTED_MISSES:
            break
        if not has_fired(runs, nominal):
            first_ms = min(first_ms, nominal)
            count += 1
    return Missed(first_ms, newest[0], count) if count else None
