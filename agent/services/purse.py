"""The link's bytes in this process: what was spent as the disk knows it, and what is left.

Owns the count in memory, the site's calendar day and the tokens. Days pass by the time that is
proven: no wall clock gives bytes back, and none that is years ahead keeps them for years. Leaves
out what the numbers mean (`agent.core.budget`, `agent.core.ladder`) and writing them down, which
every contact does in a transaction of its own anyway (`agent.store.contact`).
"""

from datetime import UTC, datetime, timedelta, tzinfo

from agent.core.budget import (
    Bucket,
    BudgetSettings,
    Spent,
    Today,
    charged,
    drawn,
    filled,
    turned,
)
from agent.core.ladder import Allowance, allowance
from agent.core.uplink import WORTH_BYTES
from agent.services.calendar import Calendar
from shared.clock import Clock

_MONTHS = 12


class Purse:
    """What the link may still cost."""

    def __init__(
        self,
        settings: BudgetSettings,
        *,
        clock: Clock,
        calendar: Calendar,
        zone: tzinfo = UTC,
    ) -> None:
        self.settings = settings
        self._clock, self._calendar, self._zone = clock, calendar, zone
        self._spent: Spent | None = None
        # Full at the start: what the last process spent is on the ladder already.
        self._bucket = Bucket(max(WORTH_BYTES, settings.pace_bytes), clock.mono_ms())

    @property
    def spent(self) -> Spent:
        """Return what was spent, as of today."""
        spent = turned(self._spent or Spent(), self._today())
        if self._spent is not None:
            self._spent = spent
        return spent

    def load(self, spent: Spent) -> None:
        """Take over what the disk knows; only the first time counts."""
        if self._spent is None:
            self._spent = spent

    def charge(self, size: int) -> Spent:
        """Count bytes that crossed the socket; return what to write down."""
        self._spent = charged(self._spent or Spent(), self._today(), size)
        self._bucket = drawn(self._fill(), size)
        return self._spent

    def allowance(self) -> Allowance:
        """Return what the next contact may cost."""
        return allowance(self.spent, self._fill(), self.settings, worth=WORTH_BYTES)

    def turns_in_ms(self) -> int:
        """Return how long it is until the next day of the site begins."""
        now = self._now()
        midnight = datetime.combine(now.date() + timedelta(days=1), datetime.min.time(), now.tzinfo)
        return max(1, int((midnight.timestamp() - now.timestamp()) * 1000))

    def _fill(self) -> Bucket:
        self._bucket = filled(
            self._bucket, self._clock.mono_ms(), settings=self.settings, least=WORTH_BYTES
        )
        return self._bucket

    def _today(self) -> Today:
        now = self._now()
        told = self._calendar.present() is not None
        return Today(now.toordinal(), now.year * _MONTHS + now.month - 1, told=told)

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._calendar.now().proven_ms / 1000, self._zone)
