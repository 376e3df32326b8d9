"""When a modem that keeps hours can be reached: a cron expression and how long it stays open.

Owns where a moment stands among the windows. Cron counts in the site's zone, so a window at two in
the night stays there through summer time. Leaves out the link's own decisions (`agent.core.uplink`)
and clocks that do not know the date: whoever asks must know it.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

from cronsim import CronSim, CronSimError

from shared.clock import WallMs
from shared.errors import MistakeError


@dataclass(frozen=True, slots=True)
class Window:
    """One opening of the line."""

    opens_ms: WallMs
    closes_ms: WallMs


def check_cron(expression: str) -> None:
    """Check a cron expression.

    Raises:
        MistakeError: it is none, or names no moment that ever comes.
    """
    try:
        next(CronSim(expression, datetime(2024, 1, 1, tzinfo=UTC)))
    except (CronSimError, StopIteration):
        raise MistakeError(
            f"{expression[:80]!r} is no time of day",
            mend='write minute, hour, day, month and weekday, for example "0 2 * * *"',
        ) from None


def window_at(expression: str, minutes: int, zone: tzinfo, now_ms: WallMs) -> Window:
    """Return the window that is open at `now_ms`, else the next one.

    Windows that touch or overlap follow each other: the newest that is open counts.
    """
    length = timedelta(minutes=minutes)
    now = datetime.fromtimestamp(now_ms / 1000, UTC).astimezone(zone)
    # A window that is open now began after this; cron's next moment is strictly later.
    coming = CronSim(expression, (now.astimezone(UTC) - length).astimezone(zone))
    opening = next(coming)
    while opening <= now and (later := next(coming)) <= now:
        opening = later
    opens_ms = int(opening.timestamp() * 1000)
    return Window(WallMs(opens_ms), WallMs(opens_ms + minutes * 60_000))
