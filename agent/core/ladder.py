"""What a contact leaves out as the bytes of a day or a month run short.

Owns the rungs, what each one costs the site, and which one a share is on. Whatever the rung, an
alarm calls at once and travels: the last tenth is kept for alarms and for the answers to people's
work, and beyond the limit alarms go all the same. Leaves out counting (`agent.core.budget`).
"""

from dataclasses import dataclass
from enum import IntEnum

from agent.core.budget import Bucket, BudgetSettings, Spent, permille, wait_ms

_HOUR_MS = 3_600_000
_SHORT = 32_768
"""Of a body where bytes are short: any alarm fits, and one block always goes."""


class Rung(IntEnum):
    """How short the bytes are."""

    ALL = 0
    """Below one half: everything goes as the site is configured."""
    FRESH = 1
    """From 50 %: the newest readings go; a backlog waits, nothing is called for one."""
    URGENT = 2
    """From 75 %: priorities 0 and 1, receipts and the loss ledger; readings wait in the store."""
    RESERVE = 3
    """From 90 %: alarms and receipts; a sign of life twice a day."""
    SPENT = 4
    """From 100 %: alarms alone, and a sign of life once a day so that help can reach the site."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What a contact may do on a rung."""

    lowest_priority: int
    """The largest priority number of blocks that travel."""
    body_bytes: int | None
    """Most bytes of a body; None: what the link allows."""
    backlog: bool = False
    """The past travels too, with its guaranteed half, and one contact may follow another."""
    ledger: bool = False
    calls: bool = False
    """Readings and receipts may call; if not, only an alarm and the silence's end do."""
    silence_ms: int = 0
    """Least time between two contacts that nobody called for; 0: as configured."""


RULES: dict[Rung, Rule] = {
    Rung.ALL: Rule(lowest_priority=2, body_bytes=None, backlog=True, ledger=True, calls=True),
    Rung.FRESH: Rule(lowest_priority=2, body_bytes=_SHORT, ledger=True, calls=True),
    Rung.URGENT: Rule(lowest_priority=1, body_bytes=_SHORT, ledger=True, silence_ms=6 * _HOUR_MS),
    Rung.RESERVE: Rule(lowest_priority=0, body_bytes=_SHORT, silence_ms=12 * _HOUR_MS),
    Rung.SPENT: Rule(lowest_priority=0, body_bytes=_SHORT, silence_ms=24 * _HOUR_MS),
}

_STEPS = ((1000, Rung.SPENT), (900, Rung.RESERVE), (750, Rung.URGENT), (500, Rung.FRESH))


@dataclass(frozen=True, slots=True)
class Allowance:
    """What the budget leaves for the next contact."""

    rung: Rung = Rung.ALL
    pace_ms: int = 0
    """How long what can wait has to wait for tokens."""
    tokens: int | None = None
    """Bytes that what can wait may take now; None: no limit."""

    @property
    def rule(self) -> Rule:
        """Return what the rung allows."""
        return RULES[self.rung]


UNLIMITED = Allowance()


def rung_of(share: int) -> Rung:
    """Return the rung of a share in thousandths.

    >>> [rung_of(share).name for share in (0, 499, 500, 750, 900, 1000, 4000)]
    ['ALL', 'ALL', 'FRESH', 'URGENT', 'RESERVE', 'SPENT', 'SPENT']
    """
    return next((rung for least, rung in _STEPS if share >= least), Rung.ALL)


def allowance(spent: Spent, bucket: Bucket, settings: BudgetSettings, *, worth: int) -> Allowance:
    """Return what may go now; what can wait is sent `worth` bytes at a time at least."""
    if not settings.is_limited:
        return UNLIMITED
    return Allowance(
        rung=rung_of(permille(spent, settings)),
        pace_ms=wait_ms(bucket, worth, settings),
        tokens=bucket.tokens,
    )
