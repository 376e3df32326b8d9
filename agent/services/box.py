"""What conditions may know of the machine and its link; each fact from whoever has it.

A fact that cannot be told here is left out: a gateway without a battery has no battery at 0 %.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

from shared.clock import Clock, ClockState
from shared.model.job import Value
from shared.runtime.files import free_mb

_SUPPLIES = Path("/sys/class/power_supply")


class Box:
    """One gateway as conditions see it."""

    def __init__(
        self,
        data_dir: Path,
        *,
        metered: bool,
        clock: Clock,
        link: Callable[[], Mapping[str, Value]],
        supplies: Path = _SUPPLIES,
    ) -> None:
        """Wire it up.

        `link` tells ``link.up`` and ``link.silent_s`` as far as they are known.
        """
        self._data_dir, self._metered = data_dir, metered
        self._clock, self._link, self._supplies = clock, link, supplies
        self._began_ms = clock.mono_ms()

    def facts(self) -> dict[str, Value]:
        """Return what is known now."""
        now = self._clock.now()
        known: dict[str, Value] = {
            "link.metered": self._metered,
            "disk.free_mb": free_mb(self._data_dir),
            "clock.synced": now.state in {ClockState.SYNCED, ClockState.HOLDOVER},
            "agent.uptime_s": (now.mono_ms - self._began_ms) // 1000,
            **self._link(),
        }
        if (battery := self._battery()) is not None:
            known["battery"] = battery
        return known

    def facts_with(
        self, *, agent: str, locked: Callable[[], int]
    ) -> Callable[[], Mapping[str, Value]]:
        """Return a source of facts that also knows the agent's id and the lock of its site."""

        def known() -> Mapping[str, Value]:
            return {**self.facts(), "agent.id": agent, "site.locked": locked() > 0}

        return known

    def _battery(self) -> int | None:
        """Return the charge of the first battery in percent (Linux power_supply class)."""
        try:
            supplies = sorted(self._supplies.iterdir())
        except OSError:
            return None
        for supply in supplies:
            try:
                if (supply / "type").read_text("ascii").strip() == "Battery":
                    return int((supply / "capacity").read_text("ascii"))
            except (OSError, ValueError):
                continue
        return None
