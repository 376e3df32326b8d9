"""The swinging door: a line through few readings that stays near to all of them.

Owns when a corner is due. From the last corner, every reading since allows a range of slopes, those
that pass it within the bound; the ranges' intersection is the door's opening. A reading is a
possible next corner while the line to it lies inside the opening of all before it. When one is not,
the reading before it becomes a corner. So a straight line from corner to corner is within the bound
of every reading between, at its wall time: unlike the door of E. H. Bristol's patent, which swings
from beside the corner and may err by twice its width.
"""

import math

from agent.core.fate import Fate
from shared.clock import Instant
from shared.model.reading import Quality, Value

STEP_MS = 2_000
"""A wall clock that moved this much against the monotonic one was set: no line crosses that."""


class Door:
    """One point's line."""

    def __init__(self, bound: float, heartbeat_ms: int) -> None:
        # The reader's own arithmetic rounds too: what is promised leaves room for it.
        self._bound = bound * (1 - 1e-9)
        self._heartbeat_ms = heartbeat_ms
        self._quality: Quality | None = None
        self._corner: tuple[Instant, float] | None = None
        self._held: tuple[Instant, float] | None = None
        self._low, self._high = -math.inf, math.inf
        self._gap_ms = 0
        """When it was last kept that there is no value."""

    def offer(self, value: Value, quality: Quality, at: Instant) -> Fate:
        """Return what becomes of a reading; see `agent.core.fate.Filter`."""
        first, changed = self._quality is None, quality is not self._quality
        self._quality = quality
        if value is None or changed or self._corner is None or self._stepped(at):
            if value is None and not changed:
                return self._gap(at)
            return self._begin(value, at, first=first)
        return self._follow(float(value), at)

    def release(self) -> bool:
        """Tell whether the newest reading is held: it ends the line."""
        held, self._held = self._held, None
        return held is not None

    def _gap(self, at: Instant) -> Fate:
        """Return what becomes of one more reading without a value: there is no line to be near."""
        if not self._heartbeat_ms or at.mono_ms - self._gap_ms < self._heartbeat_ms:
            return Fate.HELD
        self._gap_ms = at.mono_ms
        return Fate.BEAT

    def _begin(self, value: Value, at: Instant, *, first: bool) -> Fate:
        held = self.release()
        self._gap_ms = at.mono_ms
        self._corner = None if value is None else (at, float(value))
        self._low, self._high = -math.inf, math.inf
        if first and value is not None:
            return Fate.BEGUN
        return Fate.ENDED if held else Fate.KEPT

    def _follow(self, value: float, at: Instant) -> Fate:
        assert self._corner is not None, "a line begins at a corner"
        since, start = self._corner
        inside = self._low <= _slope(since, start, at, value) <= self._high
        if inside and self._heartbeat_ms and at.mono_ms - since.mono_ms >= self._heartbeat_ms:
            self._held = None
            self._restart(at, value)
            return Fate.BEAT
        if inside:
            self._narrow(at, value)
            return Fate.HELD
        assert self._held is not None, "the first reading behind a corner lies on its line"
        self._restart(*self._held)
        self._narrow(at, value)
        return Fate.TURNED

    def _restart(self, at: Instant, value: float) -> None:
        self._corner = (at, value)
        self._low, self._high = -math.inf, math.inf

    def _narrow(self, at: Instant, value: float) -> None:
        assert self._corner is not None, "a line begins at a corner"
        since, start = self._corner
        self._held = (at, value)
        self._low = max(self._low, _slope(since, start, at, value - self._bound))
        self._high = min(self._high, _slope(since, start, at, value + self._bound))

    def _stepped(self, at: Instant) -> bool:
        """Tell whether a reader's time stamps would bend the line."""
        newest = self._held or self._corner
        assert newest is not None, "a line begins at a corner"
        before = newest[0]
        moved = (at.wall_ms - at.mono_ms) - (before.wall_ms - before.mono_ms)
        return at.wall_ms <= before.wall_ms or abs(moved) > STEP_MS


def _slope(since: Instant, start: float, at: Instant, value: float) -> float:
    """Return the slope from a corner to a value, per millisecond of wall time."""
    return (value - start) / (at.wall_ms - since.wall_ms)
