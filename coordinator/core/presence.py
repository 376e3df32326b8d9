"""Whether an agent is heard as often as usual."""

from shared.clock import WallMs

GRACE_MS = 60_000
"""Quiet that never counts: a contact that retries, a report on a slow link."""
PATIENCE = 3
"""Usual intervals of quiet after which an agent is called silent."""
_SMOOTHING = 4
"""Weight of the past in the smoothed interval, against one for the newest."""


def smooth_interval(interval_ms: int | None, gap_ms: int) -> int:
    """Return the smoothed time between contacts after one more gap."""
    gap_ms = max(0, gap_ms)
    if interval_ms is None:
        return gap_ms
    return (interval_ms * _SMOOTHING + gap_ms) // (_SMOOTHING + 1)


def is_silent(last_ms: int, interval_ms: int | None, now_ms: WallMs) -> bool:
    """Tell whether an agent is overdue by its own habit."""
    return now_ms - last_ms > max(GRACE_MS, PATIENCE * (interval_ms or 0))
