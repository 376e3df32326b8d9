"""When a rule fires: held long enough, armed again, not too often.

Pure: facts, conditions and clocks are arguments. A rule has a memory for each device it watches;
what must survive a restart is small and is written only when it fires or is armed again. Time is
monotonic: a stepped clock fires nothing. Leaves out what a firing does (`agent.store.standing`).
"""

from enum import Enum

import msgspec
from msgspec.structs import replace

from agent.core.moment import Moment
from shared.model.plan import Rule

_DAY_MS = 86_400_000


class RuleMemory(msgspec.Struct, frozen=True, array_like=True):
    """What one rule remembers about one device."""

    armed: bool = True
    """It may fire; false from a firing until its reset was seen."""
    since_ms: int | None = None
    """Monotonic time since which the condition has held without a break, on this boot."""
    fired: tuple[bytes, int, int] | None = None
    """Its newest firing: boot, monotonic and best known time."""
    day: tuple[int, int] = (0, 0)
    """When the present 24 hours began, by the best known time, and how often it fired in them."""
    held_back: int = 0
    """Firings that came too often and were only counted."""


class Verdict(Enum):
    """What follows from one look."""

    NOTHING = 0
    FIRE = 1
    HELD_BACK = 2
    """It would have fired, but does so too often."""
    ARMED = 3
    """Its reset was seen: worth remembering over a restart."""


def look(
    rule: Rule, memory: RuleMemory, now: Moment, *, holds: bool | None, reset: bool | None
) -> tuple[RuleMemory, Verdict, int | None]:
    """Return the memory after a look, what follows, and when to look again.

    Args:
        rule: the rule.
        memory: what it remembers, of this boot or an earlier one.
        now: the moment of the look.
        holds: what its condition says; None: nothing known settles it.
        reset: what its reset says; without one, whether the condition is known not to hold.

    Returns:
        The monotonic time of the next look is given while the condition holds and `for_s` runs:
        otherwise only a new fact can change anything.
    """
    if not memory.armed:
        if reset is not True:
            return replace(memory, since_ms=None), Verdict.NOTHING, None
        memory = replace(memory, armed=True, since_ms=None)
        if holds is not True:
            return memory, Verdict.ARMED, None
    if holds is not True:
        # Who cannot tell does not go on counting: a silent sensor proves nothing.
        return replace(memory, since_ms=None), Verdict.NOTHING, None
    since = now.mono_ms if memory.since_ms is None else memory.since_ms
    due = since + rule.for_s * 1000
    memory = replace(memory, since_ms=since)
    if now.mono_ms < due:
        return memory, Verdict.NOTHING, due
    return _fire(rule, memory, now)


def resumed(memory: RuleMemory) -> RuleMemory:
    """Return a memory as a restart leaves it: nobody watched meanwhile."""
    return replace(memory, since_ms=None)


def _fire(rule: Rule, memory: RuleMemory, now: Moment) -> tuple[RuleMemory, Verdict, int | None]:
    begin, count = memory.day
    if not begin <= now.today_ms < begin + _DAY_MS:
        begin, count = now.today_ms, 0
    spent = replace(memory, armed=False, since_ms=None)
    if count >= rule.max_per_day or _since_firing(memory, now) < rule.min_interval_s * 1000:
        return replace(spent, held_back=memory.held_back + 1), Verdict.HELD_BACK, None
    fired = (now.boot_id, now.mono_ms, now.today_ms)
    after = replace(spent, fired=fired, day=(begin, count + 1), held_back=0)
    return after, Verdict.FIRE, None


def _since_firing(memory: RuleMemory, now: Moment) -> int:
    """Return how long ago it fired last, in milliseconds; of another boot as well as is known."""
    if memory.fired is None:
        return 1 << 62
    boot, mono, today = memory.fired
    if boot == now.boot_id:
        return now.mono_ms - mono
    return max(now.today_ms - today, now.mono_ms)
