"""Time tables as people write them, and their signed form.

Leaves out what makes one a mistake (`shared.model.schedule.check_schedule`).
"""

from typing import Any, Final

import msgspec

from coordinator.contract.common import Time, to_time, to_wall_ms
from shared.model.schedule import SITE, Misfire, Overlap, Schedule, Unsynced

_SCHEDULE: Final = Schedule()
_MOMENTS: Final = {"at": "at_ms", "start": "start_ms", "end": "end_ms"}
"""Members that are times for people and milliseconds, 0 for none, where they are signed."""


class ScheduleBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """When it runs, again and again: exactly one of `cron`, `interval_s` and `at`."""

    cron: str = ""
    interval_s: int = 0
    at: Time | None = None
    """One moment, kept by the agent also offline."""
    zone: str = SITE
    misfire: Misfire = _SCHEDULE.misfire
    max_catchup: int = _SCHEDULE.max_catchup
    overlap: Overlap = _SCHEDULE.overlap
    unsynced: Unsynced = _SCHEDULE.unsynced
    jitter_s: int = 0
    slack_s: int = 0
    start: Time | None = None
    end: Time | None = None


_SAME: Final = tuple(name for name in ScheduleBody.__struct_fields__ if name not in _MOMENTS)


def to_schedule(body: ScheduleBody) -> Schedule:
    """Return the signed form."""
    moments: dict[str, Any] = {ms: _wall_ms(getattr(body, name)) for name, ms in _MOMENTS.items()}
    return Schedule(**{name: getattr(body, name) for name in _SAME}, **moments)


def from_schedule(schedule: Schedule) -> ScheduleBody:
    """Return what people read."""
    moments: dict[str, Any] = {name: _time(getattr(schedule, ms)) for name, ms in _MOMENTS.items()}
    return ScheduleBody(**{name: getattr(schedule, name) for name in _SAME}, **moments)


def _wall_ms(time: Time | None) -> int:
    return 0 if time is None else to_wall_ms(time)


def _time(wall_ms: int) -> Time | None:
    return to_time(wall_ms) if wall_ms else None
