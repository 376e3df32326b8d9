"""What a coordinator keeps for how long, and how much of one agent it takes in a day.

Owns the settings' names, defaults and the way people write them. Leaves out deleting
(`coordinator.services.retention`).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from coordinator.core.rollup import DAY_MS, HOUR_S, MINUTE_S
from shared import limits
from shared.errors import MistakeError, nearest

FOREVER = 0
"""As a setting: no end of time, no bound of bytes."""
_UNITS = {"kB": 1_000, "MB": 1_000_000, "GB": 1_000_000_000, "TB": 1_000_000_000_000}

DEFAULTS: Mapping[str, int] = {
    **{f"raw.{priority}": 400 * DAY_MS for priority in range(3)},
    **{f"raw.{priority}.bytes": FOREVER for priority in range(3)},
    "1m": 400 * DAY_MS,
    "1h": FOREVER,
    "aside": 400 * DAY_MS,
    "history": 400 * DAY_MS,
    "events": 90 * DAY_MS,
    "jobs": 400 * DAY_MS,
    "drift": 400 * DAY_MS,
    "quota": 256_000_000,
}
"""Ages in milliseconds, sizes in bytes. 400 days: the same season of the year before can be seen.
A quota of 256 MB is 150 days of eight channels once a second: a backlog of a month goes through."""


@dataclass(frozen=True, slots=True)
class Keeping:
    """The settings in force."""

    values: Mapping[str, int]

    def raw_before_ms(self, priority: int, now_ms: int) -> int | None:
        """Return before when single readings of a priority go, None when they stay."""
        return _before(self.values[f"raw.{priority}"], now_ms)

    def raw_bytes(self, priority: int) -> int | None:
        """Return how many bytes of blocks of a priority stay, None without a bound."""
        return self.values[f"raw.{priority}.bytes"] or None

    def rolled_before_ms(self, width_s: int, now_ms: int) -> int | None:
        """Return before when minutes or hours go, None when they stay."""
        name = {MINUTE_S: "1m", HOUR_S: "1h"}[width_s]
        return _before(self.values[name], now_ms)

    def asides_before_ms(self, now_ms: int) -> int | None:
        """Return which conflicting blocks go by the time they came, None when they stay."""
        return _before(self.values["aside"], now_ms)

    def history_before_ms(self, now_ms: int) -> int | None:
        """Return which history of standing jobs goes by the time it came, None when it stays."""
        return _before(self.values["history"], now_ms)

    def events_before_ms(self, now_ms: int) -> int | None:
        """Return which events go by the time they happened, None when they stay."""
        return _before(self.values["events"], now_ms)

    def jobs_before_ms(self, now_ms: int) -> int | None:
        """Return before when every part of a finished job must lie to go, None when all stay."""
        return _before(self.values["jobs"], now_ms)

    def drift_before_ms(self, now_ms: int) -> int | None:
        """Return which comparisons of devices go by when they were last told, None: they stay."""
        return _before(self.values["drift"], now_ms)

    def quota_bytes(self, priority: int) -> int | None:
        """Return how much an agent may bring in a day before a block of a priority waits.

        Alarms have as much again for themselves: a flood of readings must not hold them up.
        """
        quota = self.values["quota"]
        return (2 * quota if priority == 0 else quota) or None


def keeping_of(rows: Mapping[str, int]) -> Keeping:
    """Return the settings with the defaults where nothing else was set."""
    return Keeping({**DEFAULTS, **{key: rows[key] for key in rows if key in DEFAULTS}})


def parse_setting(text: str, *, where: str) -> tuple[str, int]:
    """Return (name, value) of ``raw.2=400d``, ``1h=forever`` or ``quota=64MB``.

    Raises:
        MistakeError: there is no such setting, or it cannot have this value.

    >>> parse_setting("quota=64MB", where="--set")
    ('quota', 64000000)
    """
    name, _, value = text.partition("=")
    if name not in DEFAULTS:
        meant = nearest(name, DEFAULTS)
        mend = f"did you mean {meant}?" if meant else f"there are {', '.join(DEFAULTS)}"
        raise MistakeError(f"{name!r} is no setting of retention", where=where, mend=mend)
    if value == "forever" or (value == "unlimited" and _is_bytes(name)):
        return name, FOREVER
    found = re.fullmatch(r"([0-9]{1,9})(d|kB|MB|GB|TB)", value)
    number = int(found[1]) if found else 0
    if found and number and _is_bytes(name) and found[2] in _UNITS:
        return name, min(limits.INT_MAX, number * _UNITS[found[2]])
    if found and number and not _is_bytes(name) and found[2] == "d":
        return name, min(limits.INT_MAX, number * DAY_MS)
    example = "64MB or unlimited" if _is_bytes(name) else "400d or forever"
    raise MistakeError(f"{value!r} is no value of {name}", where=where, mend=f"write {example}")


def show_setting(name: str, value: int) -> str:
    """Return a setting's value as people write it.

    >>> show_setting("1m", 400 * DAY_MS), show_setting("quota", 256_000_000)
    ('400d', '256MB')
    """
    if value == FOREVER:
        return "unlimited" if _is_bytes(name) else "forever"
    if not _is_bytes(name):
        return f"{value // DAY_MS}d"
    unit = next(unit for unit in reversed(_UNITS) if value % _UNITS[unit] == 0 or unit == "kB")
    return f"{value // _UNITS[unit]}{unit}"


def _is_bytes(name: str) -> bool:
    return name == "quota" or name.endswith(".bytes")


def _before(age_ms: int, now_ms: int) -> int | None:
    return None if age_ms == FOREVER else now_ms - age_ms
