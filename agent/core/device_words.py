"""What reports say of single devices, and when: who does not answer, and how firmware comes along.

Pure. Said when it changed, as health is (`agent.core.health`), and with contacts that are made
anyway: while nothing changes it costs nothing.
"""

from dataclasses import dataclass

from agent.core.health import AGAIN, QUARTER, Moving, Silence
from shared import limits
from shared.ids import DeviceId
from shared.wire.messages import DeviceWord

Step = tuple[DeviceId, int | None, int | None]
"""A device, when it was last heard, and the quarter of its image that it has."""


@dataclass(frozen=True, slots=True)
class Told:
    """What the coordinator was told of devices, and how many contacts ago."""

    steps: tuple[Step, ...] | None = None
    """None: nothing since the agent started, so it may know what an earlier run said."""
    contacts: int = 0

    def say(self, moving: Moving, silence: Silence) -> tuple[list[DeviceWord] | None, "Told"]:
        """Return what a report should say, None for nothing, and what was told then.

        After a start nothing is said before each device had the time to answer, or the
        coordinator would take those for well again that were silent all along.
        """
        named = _named(moving, silence)
        steps = tuple(_step(one, moving, silence) for one in named)
        unsure = self.steps is None and silence.unsure and not moving.images
        if unsure or (steps == self.steps and self.contacts < AGAIN):
            return None, Told(self.steps, self.contacts + 1)
        return [_word(one, moving, silence) for one in named], Told(steps, 1)


def _named(moving: Moving, silence: Silence) -> list[DeviceId]:
    """Return the devices there is room for: those that take firmware, then the longest silent."""
    silent = sorted(silence.heard_ms, key=lambda one: (silence.heard_ms[one], one))
    names = dict.fromkeys((*sorted(moving.images), *silent))
    return list(names)[: limits.DEVICES_PER_REPORT]


def _step(device: DeviceId, moving: Moving, silence: Silence) -> Step:
    image = moving.images.get(device)
    quarter = None if image is None else image.permille // QUARTER
    return device, silence.heard_ms.get(device), quarter


def _word(device: DeviceId, moving: Moving, silence: Silence) -> DeviceWord:
    image = moving.images.get(device)
    return DeviceWord(
        device,
        silence.seconds(device) if device in silence.heard_ms else -1,
        -1 if image is None else image.permille,
        unheard=device in silence.unheard,
    )
