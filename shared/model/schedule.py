"""When something recurs: nominal times in a zone, what is made up after a gap, windows.

Owns the arithmetic of time tables and the sentence for one that can never fire. Pure: `now` is an
argument, a zone is a value. Cron expressions have five fields with Debian's meaning; cronsim
settles both changes of daylight saving time: a fixed time in the hour that does not exist fires
when the gap ends, one in the hour that comes twice fires once; wildcards fire at every instant.
Leaves out who remembers what fired (`agent.core.calendar`).

A *nominal* time is what the table says. It names a firing: each fires at most once. When the work
really starts is later: by jitter, by slack, by a gap that was made up.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from enum import StrEnum
from typing import Final

import msgspec

from shared import limits
from shared.clock import WallMs
from shared.errors import MistakeError

SITE: Final = "site"
"""The zone of wherever the agent stands."""
_FIRST_LOOK_MS: Final = 3_600_000
"""How far back the newest nominal time is sought at first; doubled until it is found."""


class Misfire(StrEnum):
    """What becomes of nominal times that passed while nothing could fire."""

    SKIP = "skip"
    """Only a time that passed less than `limits.ON_TIME_MS` ago still fires."""
    ONCE = "once"
    """The newest one fires, for all of them."""
    ALL = "all"
    """The newest `max_catchup` fire, oldest first."""


class Overlap(StrEnum):
    """What a firing does while the one before it still works."""

    SKIP = "skip"
    QUEUE_ONE = "queue_one"
    CANCEL_RUNNING = "cancel_running"
    ALLOW = "allow"


class Unsynced(StrEnum):
    """What a schedule does while nobody vouches for the clock."""

    HOLDOVER = "holdover"
    """It goes by the best guess: the last true time plus what elapsed since."""
    ELAPSED = "elapsed"
    """It fires after as much powered time as lies between two nominal times."""
    SKIP = "skip"
    """It waits for true time."""


class Schedule(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """When a standing job fires: exactly one of `cron`, `interval_s` and `at_ms`."""

    cron: str = ""
    """Five fields, e.g. ``0 2 * * SUN-THU``."""
    interval_s: int = 0
    """Seconds between two nominal times, counted from `start_ms`, or from 1970-01-01 UTC."""
    at_ms: int = 0
    """One moment, UTC."""
    zone: str = SITE
    """IANA name, or ``site``."""
    misfire: Misfire = Misfire.ONCE
    max_catchup: int = 1
    overlap: Overlap = Overlap.SKIP
    unsynced: Unsynced = Unsynced.HOLDOVER
    jitter_s: int = 0
    """Spread over a fleet: a fixed part of this many seconds for each agent and nominal time."""
    slack_s: int = 0
    """Seconds a firing may be late so that wake-ups coincide."""
    start_ms: int = 0
    """No nominal time lies before it; 0: since ever."""
    end_ms: int = 0
    """No nominal time lies at or after it; 0: for ever."""


class Window(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """When work may begin: `duration_s` seconds from each nominal time of `cron`."""

    cron: str
    duration_s: int
    zone: str = SITE


@dataclass(frozen=True, slots=True)
class Gate:
    """Whether a window is open, and until when that stays so."""

    is_open: bool
    until_ms: WallMs | None
    """None: it never opens again."""


# --- checks at submission -------------------------------------------------------------------------
def check_schedule(schedule: Schedule, *, where: str, site: str = "UTC") -> None:
    """Check everything about a schedule that can be known beforehand.

    Raises:
        MistakeError: names the member at fault.
    """
    ways = [bool(schedule.cron), bool(schedule.interval_s), bool(schedule.at_ms)]
    if sum(ways) != 1:
        raise MistakeError(
            "a schedule has exactly one of cron, interval_s and at",
            where=where,
            mend='write for example cron = "0 2 * * *"',
        )
    zone = find_zone(schedule.zone, site=site, where=f"{where}.zone")
    if schedule.cron:
        _check_cron(schedule.cron, zone, where=f"{where}.cron")
    elif schedule.interval_s:
        _between(schedule.interval_s, limits.INTERVAL_MIN_S, limits.DELAY_S, f"{where}.interval_s")
    _between(schedule.max_catchup, 1, limits.CATCHUP, f"{where}.max_catchup")
    _between(schedule.jitter_s, 0, limits.JITTER_S, f"{where}.jitter_s")
    _between(schedule.slack_s, 0, limits.JITTER_S, f"{where}.slack_s")
    for name in ("at_ms", "start_ms", "end_ms"):
        _between(getattr(schedule, name), 0, limits.INT_MAX, f"{where}.{name.removesuffix('_ms')}")
    if schedule.end_ms and schedule.end_ms <= schedule.start_ms:
        raise MistakeError("it ends before it starts", where=f"{where}.end")
    after = WallMs(schedule.start_ms - 1)
    if next_nominal(schedule, after, zone) is None:
        raise MistakeError("it never fires between its start and its end", where=where)


def check_window(window: Window, *, where: str, site: str = "UTC") -> None:
    """Check everything about a window that can be known beforehand.

    Raises:
        MistakeError: names the member at fault.
    """
    zone = find_zone(window.zone, site=site, where=f"{where}.zone")
    _check_cron(window.cron, zone, where=f"{where}.cron")
    _between(window.duration_s, 60, limits.WINDOW_S, f"{where}.duration_s")


def find_zone(name: str, *, site: str, where: str) -> tzinfo:
    """Return the zone of an IANA name, or of the site.

    Raises:
        MistakeError: there is none of that name.
    """
    # Most gateways have no schedule: they need not carry what reads one.
    from zoneinfo import ZoneInfo  # noqa: PLC0415

    try:
        return ZoneInfo(site if name == SITE else name)
    except (KeyError, ValueError, OSError):
        raise MistakeError(
            f"there is no time zone {name[:60]!r}",
            where=where,
            mend="use an IANA name such as Europe/Berlin, or site",
        ) from None


def _check_cron(text: str, zone: tzinfo, *, where: str) -> None:
    from cronsim import CronSimError  # noqa: PLC0415

    mend = "write five fields: minute hour day month weekday, for example 0 2 * * SUN-THU"
    if len(text) > limits.CRON_CHARS or len(text.split()) != 5:
        raise MistakeError(f"{text[:60]!r} is no cron expression", where=where, mend=mend)
    try:
        never = next(_cron_times(text, WallMs(0), zone), None) is None
    except CronSimError as error:
        what = str(error).lower().removeprefix("bad ")
        raise MistakeError(f"{text!r} has a bad {what}", where=where, mend=mend) from None
    if never:
        raise MistakeError(f"{text!r} never fires", where=where, mend="no such day exists")


def _between(value: int, low: int, high: int, where: str) -> None:
    if not low <= value <= high:
        raise MistakeError(f"{value} is not in {low} to {high}", where=where)


# --- nominal times --------------------------------------------------------------------------------
def nominal_times(schedule: Schedule, after: WallMs, zone: tzinfo) -> Iterator[WallMs]:
    """Yield the nominal times after `after`, each once, ascending."""
    begin = max(after, schedule.start_ms - 1)
    if schedule.at_ms:
        found: Iterator[WallMs] = iter([WallMs(schedule.at_ms)] if schedule.at_ms > begin else [])
    elif schedule.interval_s:
        found = _interval_times(schedule, begin)
    else:
        found = _cron_times(schedule.cron, WallMs(begin), zone)
    for nominal in found:
        if schedule.end_ms and nominal >= schedule.end_ms:
            return
        yield nominal


def next_nominal(schedule: Schedule, after: WallMs, zone: tzinfo) -> WallMs | None:
    """Return the first nominal time after `after`, None when there is none."""
    return next(nominal_times(schedule, after, zone), None)


def newest_nominal(
    schedule: Schedule, after: WallMs, until: WallMs, zone: tzinfo, *, count: int = 1
) -> list[WallMs]:
    """Return the newest `count` nominal times in (after, until], ascending.

    Costs as much for a gap of a year as for one of a day.
    """
    if schedule.end_ms:
        until = WallMs(min(until, schedule.end_ms - 1))
    reach = _FIRST_LOOK_MS
    while True:
        begin = max(after, until - reach)
        newest: list[WallMs] = []
        for nominal in nominal_times(schedule, WallMs(begin), zone):
            if nominal > until:
                break
            newest = [*newest[-count + 1 :], nominal] if count > 1 else [nominal]
        if len(newest) >= count or begin == after:
            return newest
        reach *= 2


def _interval_times(schedule: Schedule, after: int) -> Iterator[WallMs]:
    step, origin = schedule.interval_s * 1000, schedule.start_ms
    nominal = origin + (max(0, after - origin + step) // step) * step
    while True:
        yield WallMs(nominal)
        nominal += step


def _cron_times(text: str, after: WallMs, zone: tzinfo) -> Iterator[WallMs]:
    from cronsim import CronSim  # noqa: PLC0415

    begin = datetime.fromtimestamp(after // 1000, UTC)
    newest = after
    try:
        for moment in CronSim(text, begin.astimezone(zone)):
            nominal = WallMs((moment.astimezone(UTC) - _EPOCH) // _MILLISECOND)
            # Two fixed times that fall into one gap, or into the second run of an hour, are one.
            if nominal > newest:
                newest = nominal
                yield nominal
    except (OverflowError, ValueError):
        return  # beyond the year 9999


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)


# --- what fires -----------------------------------------------------------------------------------
def to_fire(
    schedule: Schedule, last: WallMs, now: WallMs, zone: tzinfo
) -> tuple[list[WallMs], WallMs | None]:
    """Return which nominal times fire now, oldest first, and the next one after now.

    Args:
        schedule: the table.
        last: the newest nominal time that was dealt with; when it was admitted, at first.
        now: the present; a step backwards fires nothing that was dealt with.
        zone: resolved from `schedule.zone`.
    """
    count = schedule.max_catchup if schedule.misfire is Misfire.ALL else 1
    missed = newest_nominal(schedule, last, now, zone, count=count) if now > last else []
    if schedule.misfire is Misfire.SKIP:
        # Whoever may be late to share a wake-up is on time all the same.
        on_time_ms = limits.ON_TIME_MS + schedule.slack_s * 1000
        missed = [nominal for nominal in missed if now - nominal < on_time_ms]
    return missed, next_nominal(schedule, max(last, now), zone)


def jitter_ms(schedule: Schedule, key: bytes, nominal: WallMs) -> int:
    """Return by how much the firing of `nominal` is put off: the same whenever it is asked.

    Args:
        schedule: says how far firings are spread.
        key: names the agent and the schedule.
        nominal: the firing.
    """
    if not schedule.jitter_s:
        return 0
    digest = hashlib.sha256(key + nominal.to_bytes(8, "big")).digest()
    return int.from_bytes(digest[:8], "big") % (schedule.jitter_s * 1000)


def gate(window: Window, now: WallMs, zone: tzinfo) -> Gate:
    """Return whether a window is open at `now`, and when that changes."""
    table = Schedule(cron=window.cron)
    duration = window.duration_s * 1000
    opened = newest_nominal(table, WallMs(now - duration), now, zone)
    if opened:
        return Gate(is_open=True, until_ms=WallMs(opened[-1] + duration))
    return Gate(is_open=False, until_ms=next_nominal(table, now, zone))
