"""The board that a sensor node runs on: power, resets, boots, what its firmware is like.

Owns when the node is awake, which image runs and how that image behaves. Leaves out the protocol
(`node`, `*_group`). Nothing waits here: `advance` carries out what was due up to a moment.

How a simulated firmware behaves stands in its image, so that what is signed decides: a line
``outstation-sim: self-check=fails`` anywhere in its body. Words: ``self-check=fails`` (an
unconfirmed image resets itself), ``crashes-after=SECONDS`` (it resets itself, confirmed or not),
``hangs`` (it never answers until the watchdog resets the board).
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from firmware_sim.bootloader import Boot, Bootloader, Swap
from firmware_sim.clock import SimTime
from firmware_sim.flash import PowerCutError
from shared import limits
from shared.clock import MonoMs

RESET_MS = 250
"""A reset waits for its answer to leave (Zephyr's default for the reset command)."""
BOOT_MS = 100
"""From reset to an application that answers, flash work apart."""
POWER_BACK_MS = 500
"""A brown-out is over after this."""
SELF_CHECK_MS = 1_000
"""An application that is not content with itself says so by a reset this long after its start."""
WATCHDOG_MS = 4_000
"""An application that hangs is reset after this."""
_MARKER = re.compile(rb"outstation-sim: ([ -~]{0,200})")

Note = Callable[[dict[str, object]], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Firmware:
    """How an application behaves."""

    self_check: bool = True
    crashes_after_ms: int | None = None
    hangs: bool = False


def read_firmware(body: bytes) -> Firmware:
    """Return how the application in an image's body behaves; unknown words mean nothing."""
    found = _MARKER.search(body)
    words = found[1].decode().split() if found else []
    crashes = re.search(r"crashes-after=(\d{1,5})\b", " ".join(words))
    return Firmware(
        self_check="self-check=fails" not in words,
        crashes_after_ms=max(1, int(crashes[1])) * 1000 if crashes else None,
        hangs="hangs" in words,
    )


class Board:
    """One microcontroller with its flash."""

    def __init__(self, loader: Bootloader, time: SimTime, note: Note) -> None:
        self.loader, self.time = loader, time
        self.boots = 0
        self.last: Boot | None = None
        self.firmware = Firmware()
        self.restarted: Callable[[], None] = lambda: None
        """Called at each boot: memory is empty."""
        self.crashes_every_ms: int | None = None
        """While a fault is on: whatever runs resets itself this long after its start."""
        self.dead = False
        """No image can be run, or a fault killed it: silent for good."""
        self.dies_at_reset = False
        """While a fault is on: it does not come back from the next reset."""
        self._note = note
        self._up_ms = time.ticks.mono_ms()
        self._reset_ms: int | None = self._up_ms
        self._cause = "power"

    # --- what others ask -------------------------------------------------------------------------
    @property
    def due_ms(self) -> MonoMs | None:
        """Return when `advance` has something to do."""
        return None if self._reset_ms is None or self.dead else MonoMs(self._reset_ms)

    def awake(self, now_ms: MonoMs) -> bool:
        """Tell whether the application answers."""
        return not self.dead and not self.firmware.hangs and now_ms >= self._up_ms

    def uptime_ms(self, now_ms: MonoMs) -> int:
        """Return how long the application has been running."""
        return max(0, now_ms - self._up_ms)

    # --- what happens to it ----------------------------------------------------------------------
    def reset(self, now_ms: MonoMs) -> None:
        """Reset a moment later, as the command does."""
        self._plan(now_ms + RESET_MS, "command")

    def crash_every(self, period_ms: int | None, now_ms: MonoMs) -> None:
        """Let whatever runs reset itself every so often; None: no longer."""
        if period_ms == self.crashes_every_ms:
            return
        self.crashes_every_ms = period_ms
        if period_ms is not None:
            self._plan(now_ms + period_ms, "fault")
        elif self._cause == "fault":
            self._reset_ms = None

    def lose_power(self, now_ms: MonoMs) -> None:
        """Take note that the supply failed inside of a flash operation."""
        self._note({"event": "power cut"})
        self._up_ms = MonoMs(now_ms + POWER_BACK_MS)
        self._reset_ms, self._cause = now_ms + POWER_BACK_MS, "power"

    def advance(self, now_ms: MonoMs) -> None:
        """Carry out every reset that was due."""
        for _ in range(limits.SIM_BOOTS):
            if self.dead or self._reset_ms is None or self._reset_ms > now_ms:
                return
            self._boot(self._reset_ms)
        # A long leap through a loop of resets: what is left of it would be the same again.
        self._reset_ms = now_ms

    def _plan(self, at_ms: int, cause: str) -> None:
        if self._reset_ms is None or at_ms < self._reset_ms:
            self._reset_ms, self._cause = at_ms, cause

    def _boot(self, at_ms: int) -> None:
        cause, self._reset_ms = self._cause, None
        if self.dies_at_reset and self.boots:
            self.dead = True
            self._note({"event": "dead", "cause": cause})
            return
        self.boots += 1
        self.restarted()
        try:
            done = self.loader.boot()
        except PowerCutError:
            self.lose_power(MonoMs(at_ms))
            return
        self.last = done
        # Switched on just now, it counts as up: who starts a device wants to talk to it.
        start_ms = BOOT_MS if self.boots > 1 else 0
        self._up_ms = MonoMs(at_ms + start_ms + self.loader.flash.take_busy_ms())
        self._tell(done, cause)
        if done.image is None:
            self.dead = True
            return
        self.firmware = read_firmware(done.image.body)
        self._plan_own_resets()

    def _plan_own_resets(self) -> None:
        unconfirmed = self.loader.next_swap() is Swap.REVERT
        if self.firmware.hangs:
            self._plan(self._up_ms + WATCHDOG_MS, "watchdog")
        if not self.firmware.self_check and unconfirmed:
            self._plan(self._up_ms + SELF_CHECK_MS, "self-check")
        if self.firmware.crashes_after_ms is not None:
            self._plan(self._up_ms + self.firmware.crashes_after_ms, "crash")
        if self.crashes_every_ms is not None:
            self._plan(self._up_ms + self.crashes_every_ms, "fault")

    def _tell(self, done: Boot, cause: str) -> None:
        entry: dict[str, object] = {"event": "boot", "cause": cause, "swap": done.swap.value}
        if done.image is not None:
            entry |= {"version": str(done.image.version), "hash": done.image.digest.hex()}
        if done.refused is not None:
            entry["refused"] = done.refused.value
        if done.resumed:
            entry["resumed"] = True
        self._note(entry)
