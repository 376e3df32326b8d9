"""The agent's date: what verified replies taught it, carried on by the monotonic clock.

One object shared by whoever asks for expiry. The rule stands in `agent.core.moment`.
"""

from collections.abc import Callable
from typing import Final

from agent.core.moment import Anchor, Moment, moment
from shared.clock import Clock, MonoMs, WallMs

_STEP_MS: Final = 2_000


class Calendar:
    """Now, as queues and expiry see it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._anchor: Anchor | None = None
        self._floor_ms, self._floor_at = WallMs(0), clock.mono_ms()
        self._watchers: list[Callable[[], None]] = []

    def watch(self, moved: Callable[[], None]) -> None:
        """Have `moved` called whenever signed words say another time, or prove a later one."""
        self._watchers.append(moved)

    def now(self) -> Moment:
        """Return the best idea of now."""
        at = self._clock.now()
        return moment(at, self._anchor, floor_ms=self._floor(at.mono_ms))

    def raise_floor(self, floor_ms: WallMs) -> None:
        """Note that it cannot be earlier than this; a stored floor, or an issue time."""
        before = self.now()
        self._raise(floor_ms)
        self._tell(before)

    def present(self) -> WallMs | None:
        """Return the time that a verified reply of this boot told, carried on; else None."""
        anchor, now = self._anchor, self.now()
        return now.today_ms if anchor is not None and anchor.boot_id == now.boot_id else None

    def begin_anew(self, floor_ms: WallMs) -> None:
        """Forget what was said about time: a new epoch makes it void."""
        self._anchor, self._floor_ms, self._floor_at = None, floor_ms, self._clock.mono_ms()

    def learn(self, now_ms: WallMs) -> WallMs:
        """Take a signed time in answer to our own report; return the time now.

        An answer that was held back by somebody says less than the last one carried on: time
        goes forward only.
        """
        at, before = self._clock.now(), self.now()
        if self._anchor is not None:
            now_ms = max(now_ms, before.today_ms)
        self._anchor = Anchor(now_ms, at.mono_ms, at.boot_id)
        self._raise(now_ms)
        self._tell(before)
        return now_ms

    def _raise(self, floor_ms: WallMs) -> None:
        mono_ms = self._clock.mono_ms()
        self._floor_ms, self._floor_at = max(self._floor(mono_ms), floor_ms), mono_ms

    def _tell(self, before: Moment) -> None:
        """Call who watches, if what was just learned says more than `before`."""
        now = self.now()
        stepped = not before.sure and now.sure
        for then, since in ((before.today_ms, now.today_ms), (before.proven_ms, now.proven_ms)):
            stepped |= abs(since - then) > _STEP_MS
        if stepped:
            for moved in self._watchers:
                moved()

    def _floor(self, mono_ms: MonoMs) -> WallMs:
        """Return what it cannot be earlier than at `mono_ms`: powered time passes for it too."""
        return WallMs(self._floor_ms + mono_ms - self._floor_at) if self._floor_ms else WallMs(0)
