"""The agent's date: what verified replies taught it, carried on by the monotonic clock.

One object shared by whoever asks for expiry. The rule stands in `agent.core.moment`.
"""

from agent.core.moment import Anchor, Moment, moment
from shared.clock import Clock, WallMs


class Calendar:
    """Now, as queues and expiry see it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._anchor: Anchor | None = None
        self._floor_ms = WallMs(0)

    def now(self) -> Moment:
        """Return the best idea of now."""
        return moment(self._clock.now(), self._anchor, floor_ms=self._floor_ms)

    def raise_floor(self, floor_ms: WallMs) -> None:
        """Note that it cannot be earlier than this; a stored floor, or an issue time."""
        self._floor_ms = max(self._floor_ms, floor_ms)

    def present(self) -> WallMs | None:
        """Return the time that a verified reply of this boot told, carried on; else None."""
        anchor, now = self._anchor, self.now()
        return now.today_ms if anchor is not None and anchor.boot_id == now.boot_id else None

    def begin_anew(self, floor_ms: WallMs) -> None:
        """Forget what was said about time: a new epoch makes it void."""
        self._anchor, self._floor_ms = None, floor_ms

    def learn(self, now_ms: WallMs) -> WallMs:
        """Take a signed time in answer to our own report; return the time now.

        An answer that was held back by somebody says less than the last one carried on: time
        goes forward only.
        """
        at = self._clock.now()
        if self._anchor is not None:
            now_ms = max(now_ms, self.now().today_ms)
        self._anchor = Anchor(now_ms, at.mono_ms, at.boot_id)
        self.raise_floor(now_ms)
        return now_ms
