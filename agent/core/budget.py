"""How many bytes of the link were spent, today and this month, and how fast they may go.

Owns the count's turn from one day to the next, its share of what a person allowed, and the token
bucket that keeps a backlog from spending a day's bytes in its first hour. Pure: days come in as
numbers, for only the shell knows zones. What a share means stands in `agent.core.ladder`.
"""

from dataclasses import dataclass

import msgspec

from shared.clock import MonoMs

_DAY_MS = 86_400_000
_DAYS_OF_MONTH = 31
_BURST = 4
"""The part of a day's bytes that may go at once: a backlog after an outage shows soon."""


@dataclass(frozen=True, slots=True)
class Today:
    """Where a moment stands in the site's calendar."""

    day: int
    """Days since 0001-01-01, as `datetime.date.toordinal` counts."""
    month: int
    """Months since the year 0."""
    told: bool = False
    """Whether signed words of this boot say so; else it may be later than this."""


class Spent(msgspec.Struct, frozen=True, array_like=True):
    """Bytes that crossed the socket, TLS included; packed into jobs.db with every contact."""

    day: int = 0
    day_bytes: int = 0
    month: int = 0
    month_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetSettings:
    """What a person allows; 0 is no limit."""

    day_bytes: int = 0
    month_bytes: int = 0

    @property
    def is_limited(self) -> bool:
        """Tell whether there is any limit."""
        return bool(self.day_bytes or self.month_bytes)

    @property
    def pace_bytes(self) -> int:
        """Return the bytes of an even day: the day's own, or the month's share; 0 without limit."""
        shares = [self.day_bytes, self.month_bytes // _DAYS_OF_MONTH]
        return min((share for share in shares if share), default=0)


def turned(spent: Spent, today: Today) -> Spent:
    """Return the count as of a day: a later day or month begins at nothing.

    Time that went back begins nothing anew, also not when it comes forward again: otherwise it
    would be a way to spend twice. A count whose day has yet to come goes on as today's, bytes and
    all, once today is told: it would stand still until then.
    """
    day, day_bytes = _as_of(today.day, spent.day, spent.day_bytes, told=today.told)
    month, month_bytes = _as_of(today.month, spent.month, spent.month_bytes, told=today.told)
    return Spent(day, day_bytes, month, month_bytes)


def _as_of(now: int, counted: int, size: int, *, told: bool) -> tuple[int, int]:
    """Return which day or month a count is of, and the count."""
    if now > counted:
        return now, 0
    return (now if told else counted), size


def charged(spent: Spent, today: Today, size: int) -> Spent:
    """Return the count once `size` more bytes have crossed the socket."""
    now = turned(spent, today)
    return Spent(now.day, now.day_bytes + size, now.month, now.month_bytes + size)


def permille(spent: Spent, settings: BudgetSettings) -> int:
    """Return how much is spent of whichever limit is nearer, in thousandths; 0 without limit."""
    pairs = ((spent.day_bytes, settings.day_bytes), (spent.month_bytes, settings.month_bytes))
    return max((used * 1000 // most for used, most in pairs if most), default=0)


@dataclass(frozen=True, slots=True)
class Bucket:
    """Tokens for what can wait: a byte each, refilled over the day."""

    tokens: int
    at_ms: MonoMs


def filled(bucket: Bucket, now_ms: MonoMs, *, settings: BudgetSettings, least: int) -> Bucket:
    """Return the bucket as of now; it holds a part of a day, and `least` at any rate."""
    most = max(least, settings.pace_bytes // _BURST)
    passed_ms = max(0, now_ms - bucket.at_ms)
    gained = settings.pace_bytes * passed_ms // _DAY_MS
    if gained <= 0:
        # Less than a token: the time counts on.
        return bucket
    return Bucket(min(most, bucket.tokens + gained), now_ms)


def drawn(bucket: Bucket, size: int) -> Bucket:
    """Return the bucket once `size` bytes have gone, whoever sent them."""
    return Bucket(max(0, bucket.tokens - size), bucket.at_ms)


def wait_ms(bucket: Bucket, size: int, settings: BudgetSettings) -> int:
    """Return how long until there are `size` tokens; 0 where nothing is limited."""
    lacking = size - bucket.tokens
    if lacking <= 0 or not settings.pace_bytes:
        return 0
    return -(-lacking * _DAY_MS // settings.pace_bytes)
