"""What every simulated device is given by its command line, whatever it speaks.

Owns its time, its ledger, and the commands of its control socket that switch faults and set points.
"""

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Protocol

from firmware_sim.clock import SimTime
from firmware_sim.control import Command
from firmware_sim.faults import Fault
from firmware_sim.ledger import Ledger, LedgerFile
from shared.clock import WallMs
from shared.errors import MistakeError


class Faulty(Protocol):
    """What can be made to misbehave while it runs."""

    @property
    def faults(self) -> tuple[Fault, ...]:
        """Return the faults that are switched on."""

    def add_faults(self, *faults: Fault | str) -> None:
        """Switch faults on, from now."""

    def clear_faults(self) -> None:
        """Switch all faults off."""


class Settable(Faulty, Protocol):
    """What has points besides."""

    def set_value(self, name: str, value: float, *, unit: int | None) -> None:
        """Set or hold a point, of one unit or of all."""


def make_time(speed: float, start_ms: int | None) -> SimTime:
    """Return the time that a device lives in."""
    return SimTime(speed=speed, start_ms=None if start_ms is None else WallMs(start_ms))


def open_ledger(path: Path | None, time: SimTime, stack: AsyncExitStack) -> Ledger | None:
    """Return the ledger that is written to a file, which `stack` closes.

    Raises:
        MistakeError: the file cannot be written.
    """
    if path is None:
        return None
    file = LedgerFile(path)
    stack.callback(file.close)
    return Ledger(file.write, time.ticks)


def fault_commands(device: Faulty, example: str) -> Mapping[str, Command]:
    """Return `fault` and `clear`; `example` is what a fault of this device looks like."""

    def fault(words: Sequence[str]) -> object:
        if not words:
            raise MistakeError("which fault?", mend=f"for example: fault {example}")
        device.add_faults(*words)
        return [str(active) for active in device.faults]

    def clear(_: Sequence[str]) -> object:
        device.clear_faults()
        return None

    return {"fault": fault, "clear": clear}


def set_command(device: Settable) -> Command:
    """Return `set`: points get values, or are held at them."""

    def change(words: Sequence[str]) -> object:
        for word in words:
            unit, name, value = parse_setting(word)
            device.set_value(name, value, unit=unit)
        return None

    return change


def parse_setting(text: str) -> tuple[int | None, str, float]:
    """Return (unit or None for all, point, value) of ``[UNIT:]POINT=VALUE``.

    Raises:
        MistakeError: it is not of that form.
    """
    head, equals, value = text.partition("=")
    unit, colon, name = head.rpartition(":")
    wrong = MistakeError(f"{text!r} is not [UNIT:]POINT=NUMBER", mend="write it like setpoint=4200")
    if not equals or not name or (colon and not unit.isdecimal()):
        raise wrong
    try:
        return (int(unit) if colon else None), name, float(value)
    except ValueError:
        raise wrong from None
