"""When it is worth its bytes to say how the box is: when something changed, and now and then.

Pure. What is said stands in `shared.model.health`; gathering it in `agent.services.contact`.
"""

from collections.abc import Mapping

from agent.core.ladder import rung_of
from shared.model.health import Health

AGAIN = 16
"""Contacts after which it is said although nothing changed: four days of a metered site."""


def health_of_queue(
    waiting: Mapping[int, int], *, oldest_s: int, free_mb: int, today_bytes: int, share: int
) -> Health:
    """Return the health of a box.

    Args:
        waiting: readings by priority.
        oldest_s: age of the oldest.
        free_mb: what the disk still has.
        today_bytes: what the link carried today.
        share: thousandths of the budget that are spent.
    """
    return Health(
        waiting_alarms=waiting.get(0, 0),
        waiting_soon=waiting.get(1, 0),
        waiting=waiting.get(2, 0),
        oldest_s=max(0, oldest_s),
        free_mb=free_mb,
        today_kb=today_bytes // 1000,
        budget_permille=share,
    )


def is_worth_telling(told: Health | None, now: Health, *, contacts: int) -> bool:
    """Tell whether a report should say it, `contacts` after the last one that did.

    Numbers that grow and shrink all day count as changed once they doubled; an alarm that waits,
    and the rung of the budget, at once.
    """
    return told is None or contacts >= AGAIN or _steps(told) != _steps(now)


def _steps(one: Health) -> tuple[int, ...]:
    return (
        int(one.waiting_alarms > 0),
        one.waiting_soon.bit_length() // 2,
        one.waiting.bit_length() // 2,
        one.oldest_s.bit_length() // 2,
        one.free_mb.bit_length(),
        rung_of(one.budget_permille),
    )
