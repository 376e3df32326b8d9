"""How many members may be released now: rates, and a bound of what is open at a time.

The rate holds in every span of a minute, not only in those of a clock. Leaves out the bound for
each site: a member is not ready while its site is full (`coordinator.transactions.dispatch`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from msgspec.structs import replace

from coordinator.core.rollout_policy import Policy, Progress

MINUTE_MS: Final = 60_000
_MANY: Final = 1 << 53
"""More than any fleet, and still exact as a float."""


@dataclass(frozen=True, slots=True)
class Room:
    """How many may be released now, and when there will be more room though nothing happens."""

    members: int
    again_ms: int = 0
    """0: only when something ends or succeeds."""
    words: str = ""
    """Which limit holds it back."""


def rate_per_minute(policy: Policy, succeeded: int) -> int:
    """Return the rate that so many successes have earned; 0: without bound."""
    if policy.ramp is None:
        return policy.per_minute
    ramp = policy.ramp
    most = policy.per_minute or _MANY
    rate = float(ramp.base_per_minute)
    for _ in range(succeeded // ramp.succeeded):
        rate *= ramp.factor
        if rate >= most or ramp.factor == 1:
            break
    return min(most, int(rate))


def most_open(policy: Policy, members: int) -> int:
    """Return how many executions may be open at a time: one at least, so that it goes on."""
    if not policy.concurrent_percentage:
        return _MANY
    return max(1, int(policy.concurrent_percentage * members / 100))


def room(
    policy: Policy,
    recent: Sequence[tuple[int, int]],
    *,
    members: int,
    open_now: int,
    succeeded: int,
    now_ms: int,
) -> Room:
    """Return how many members may be released.

    Args:
        policy: the limits.
        recent: (when, how many) of releases; older ones than a minute do not count.
        members: of the whole rollout.
        open_now: executions that were released and did not end.
        succeeded: executions that did.
        now_ms: the present.
    """
    free = max(0, most_open(policy, members) - open_now)
    rate = rate_per_minute(policy, succeeded)
    if not rate:
        return Room(free, words="" if free else _full(policy))
    within = within_minute(recent, now_ms)
    left = max(0, rate - sum(number for _, number in within))
    again_ms = (within[0][0] if within else now_ms) + MINUTE_MS
    if not free:
        return Room(0, words=_full(policy))
    return Room(min(free, left), again_ms, words="" if left else f"{rate} a minute are released")


def within_minute(recent: Sequence[tuple[int, int]], now_ms: int) -> tuple[tuple[int, int], ...]:
    """Return the releases that still count; one from a later clock counts as of now."""
    return tuple(
        (min(at_ms, now_ms), number) for at_ms, number in recent if at_ms > now_ms - MINUTE_MS
    )


def note_release(progress: Progress, now_ms: int, number: int) -> Progress:
    """Return the progress once so many were released; those of one second count as its last."""
    recent = within_minute(progress.recent, now_ms)
    if not number:
        return progress
    if recent and recent[-1][0] // 1000 == now_ms // 1000:
        number += recent[-1][1]
        recent = recent[:-1]
    return replace(progress, recent=(*recent, (now_ms, number)))


def _full(policy: Policy) -> str:
    return f"{policy.concurrent_percentage:g} % of its members are at work"
