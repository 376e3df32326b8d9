"""When readings that cannot wait for a contact are sealed.

Owns the deadlines: urgent readings at once, but each device at most once per `URGENT_GAP_MS`, after
which all that came meanwhile travels in one block; readings of priority 1 within `SOON_MS`. Leaves
out waiting and sealing (`agent.services.urgency`). Time is monotonic.
"""

from collections.abc import Sequence

from shared import limits
from shared.clock import MonoMs
from shared.ids import DeviceId
from shared.model.judging import ROUTINE, URGENT


class Deadlines:
    """Until when what is open has to be sealed."""

    def __init__(self) -> None:
        self._soon_ms: MonoMs | None = None
        self._urgent: dict[DeviceId, MonoMs] = {}
        """Devices with urgent readings that are open: when they are due."""
        self._sealed: dict[DeviceId, MonoMs] = {}
        """When a device's urgent readings were sealed last."""

    def note(self, priority: int, device: DeviceId, now_ms: MonoMs) -> bool:
        """Note a recorded row; return whether the next deadline may be another one now."""
        if priority >= ROUTINE:
            return False
        if priority > URGENT:
            if self._soon_ms is None:
                self._soon_ms = MonoMs(now_ms + limits.SOON_MS)
                return True
            return False
        if device in self._urgent:
            return False
        sealed_ms = self._sealed.get(device)
        free_ms = now_ms if sealed_ms is None else MonoMs(sealed_ms + limits.URGENT_GAP_MS)
        self._urgent[device] = max(now_ms, free_ms)
        return True

    def next_due(self) -> MonoMs | None:
        """Return when something has to be sealed, or None while nothing is in a hurry."""
        times = [*self._urgent.values(), *(() if self._soon_ms is None else (self._soon_ms,))]
        return min(times, default=None)

    def sealed(self, now_ms: MonoMs) -> Sequence[DeviceId]:
        """Note that all that was open is sealed; return the devices of which it was urgent."""
        urgent = tuple(self._urgent)
        self._sealed.update(dict.fromkeys(urgent, now_ms))
        self._urgent.clear()
        self._soon_ms = None
        return urgent

    def refused(self, urgent: Sequence[DeviceId], now_ms: MonoMs) -> None:
        """Note that the disk did not take what `sealed` returned: it is due again after the gap.

        The rest goes with any commit, and nobody has to hear of it.
        """
        for device in urgent:
            self.note(URGENT, device, now_ms)
