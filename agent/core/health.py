"""When it is worth its bytes to say how the box is: when something changed, and now and then.

Pure. What is said stands in `shared.model.health`; gathering it in `agent.services.contact`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from agent.core.ladder import rung_of
from agent.core.progress import Progress
from shared.clock import MonoMs
from shared.ids import DeviceId
from shared.model.health import Health

AGAIN = 16
"""Contacts after which it is said although nothing changed: four days of a metered site."""
QUARTER = 250
"""Thousandths of a transfer that are worth being told: four times from its beginning to its end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moving:
    """What is on its way to this box, and from it into its devices."""

    files: int = 0
    """Those that work waits for."""
    file: Progress | None = None
    """The one that is being fetched."""
    images: Mapping[DeviceId, Progress] = field(default_factory=dict)
    """Firmware, by device."""


STILL = Moving()


@dataclass(frozen=True, slots=True)
class Silence:
    """Devices that do not answer."""

    heard_ms: Mapping[DeviceId, MonoMs] = field(default_factory=dict)
    """When each of them last did; who never did, when it was first asked."""
    unheard: frozenset[DeviceId] = frozenset()
    """Those of them that have not answered since the agent started."""
    unsure: bool = False
    """Some device has not been asked often enough yet to tell."""
    now_ms: MonoMs = MonoMs(0)

    def seconds(self, device: DeviceId) -> int:
        """Return for how long a device has not answered."""
        return max(0, self.now_ms - self.heard_ms[device]) // 1000


ALL_ANSWER = Silence()


def health_of_queue(
    waiting: Mapping[int, int],
    *,
    oldest_s: int,
    free_mb: int,
    today_bytes: int,
    share: int,
    moving: Moving = STILL,
    silence: Silence = ALL_ANSWER,
) -> Health:
    """Return the health of a box.

    Args:
        waiting: readings by priority.
        oldest_s: age of the oldest.
        free_mb: what the disk still has.
        today_bytes: what the link carried today.
        share: thousandths of the budget that are spent.
        moving: what is on its way.
        silence: who does not answer.
    """
    return Health(
        waiting_alarms=waiting.get(0, 0),
        waiting_soon=waiting.get(1, 0),
        waiting=waiting.get(2, 0),
        oldest_s=max(0, oldest_s),
        free_mb=free_mb,
        today_kb=today_bytes // 1000,
        budget_permille=share,
        files=moving.files,
        file_permille=_together([moving.file] if moving.file else []),
        images=len(moving.images),
        image_permille=_together(moving.images.values()),
        silent=len(silence.heard_ms),
        silent_s=max(map(silence.seconds, silence.heard_ms), default=0),
    )


def _together(moved: Iterable[Progress]) -> int:
    """Return how much of it all is there, in thousandths."""
    rows = list(moved)
    return sum(one.done for one in rows) * 1000 // max(1, sum(one.size for one in rows))


def is_worth_telling(told: Health | None, now: Health, *, contacts: int) -> bool:
    """Tell whether a report should say it, `contacts` after the last one that did.

    Numbers that grow and shrink all day count as changed once they doubled; an alarm that waits,
    the rung of the budget, and a device that falls silent or is back, at once; what is on its way,
    by quarters. No contact is made for it.
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
        one.files,
        one.file_permille // QUARTER,
        one.images,
        one.image_permille // QUARTER,
        one.silent,
    )
