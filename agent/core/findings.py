"""What a firing of a standing job found out, and when two findings are the same.

A schedule that compares or syncs tells of each device by itself, and when that changed: what a
month without a link hides is told afterwards with the time at which it began. Pure. Leaves out
comparing (`agent.actions`) and keeping history (`agent.store.standing_rows`).
"""

from collections.abc import Mapping
from typing import Final

from shared.model.job import Value

_MARKS: Final = frozenset({"_drifted", "_profile_hash", "_settings"})
"""Result members that only an action that looks at a device, or at the agent itself, gives."""
_MEASURED: Final = "_told."
"""What a device says of itself beside who it is: uptimes, dates; it differs each time."""


def is_finding(result: Mapping[str, Value]) -> bool:
    """Tell whether a task's result says what became of a device.

    >>> is_finding({"check._drifted": 0}), is_finding({"look.flow": 4.2})
    (True, False)
    """
    return any(_member(name) in _MARKS for name in result)


def same_finding(one: Mapping[str, Value], other: Mapping[str, Value]) -> bool:
    """Tell whether two results say the same of a device; measured values are no matter.

    >>> same_finding({"check._drift": "", "check.flow": 1}, {"check._drift": "", "check.flow": 2})
    True
    >>> same_finding({"check._drift": ""}, {"check._drift": "flow"})
    False
    """
    return _said(one) == _said(other)


def _said(result: Mapping[str, Value]) -> dict[str, Value]:
    members = {name: _member(name) for name in result}
    return {
        name: result[name]
        for name, member in members.items()
        if member.startswith("_") and not member.startswith(_MEASURED)
    }


def _member(name: str) -> str:
    return name.partition(".")[2]
