"""Faults on request: which request is met by which misbehaviour, decided by a seed.

Owns the grammar of `--fault`, the windows in time and the draw. Leaves out how a fault looks on the
wire (`station`, `ports`).
"""

import math
from dataclasses import dataclass
from enum import StrEnum

from firmware_sim.noise import noise_bytes, uniform
from shared import limits
from shared.clock import MonoMs
from shared.errors import MistakeError


class FaultKind(StrEnum):
    """What goes wrong with one request."""

    SILENCE = "silence"
    """The device does not hear it: nothing happens, nothing is answered."""
    LOST_REPLY = "lost-reply"
    """The device does what was asked; its answer gets lost."""
    GARBAGE = "garbage"
    """The device does what was asked; noise comes instead of the answer."""
    BAD_CRC = "bad-crc"
    """The device does what was asked; the answer's CRC is wrong (serial line only)."""
    EXCEPTION = "exception"
    """Nothing happens; the answer is an exception (4, server device failure, if none is named)."""
    SLOW = "slow"
    """The device begins this many milliseconds late."""
    CUT = "cut"
    """The device does what was asked; its answer ends in the middle (devices that answer text)."""
    NOISE = "noise"
    """The answer comes among lines that others print (sensor node, serial line only)."""
    REBOOT_LOOP = "reboot-loop"
    """What follows is about a sensor node: it resets itself this many seconds after each start."""
    POWER_CUT = "power-cut"
    """The supply fails, once, in the middle of this flash operation, counted from now."""
    FLASH_FULL = "flash-full"
    """No write to flash or to a file succeeds."""
    SLOW_ERASE = "slow-erase"
    """Erasing a sector takes this many milliseconds more."""
    WRONG_CLOCK = "wrong-clock"
    """Its clock shows this many seconds too little."""
    BRICK = "brick"
    """The next reset is its last: nothing boots."""


STANDING = frozenset(
    {
        FaultKind.REBOOT_LOOP,
        FaultKind.POWER_CUT,
        FaultKind.FLASH_FULL,
        FaultKind.SLOW_ERASE,
        FaultKind.WRONG_CLOCK,
        FaultKind.BRICK,
    }
)
"""Faults of the device and not of a request; p= says nothing about them."""
NODE_ONLY = STANDING | {FaultKind.NOISE, FaultKind.CUT}
"""Faults that a Modbus device cannot have."""
TEXT_FAULTS = frozenset(
    {
        FaultKind.SILENCE,
        FaultKind.LOST_REPLY,
        FaultKind.GARBAGE,
        FaultKind.CUT,
        FaultKind.EXCEPTION,
        FaultKind.SLOW,
    }
)
"""Faults of devices that answer in text."""

HELP = (
    "silence | lost-reply | garbage | bad-crc | exception[=CODE] | slow=MS, each with "
    ":p=PROBABILITY, after=SECONDS, for=SECONDS, unit=N; for example slow=300 or "
    "silence:p=0.1,after=10,for=5. Devices that answer text also: cut. "
    "A sensor node also: noise | reboot-loop=SECONDS | power-cut=OPERATIONS | "
    "flash-full | slow-erase=MS | wrong-clock=SECONDS | brick"
)
_SLOW_MAX_MS = 600_000
_AMOUNTS: dict[FaultKind, tuple[int | None, int]] = {
    FaultKind.SLOW: (None, _SLOW_MAX_MS),
    FaultKind.EXCEPTION: (4, 255),
    FaultKind.REBOOT_LOOP: (None, 86_400),
    FaultKind.POWER_CUT: (1, 1_000_000),
    FaultKind.SLOW_ERASE: (None, 10_000),
    FaultKind.WRONG_CLOCK: (None, 1_000_000_000),
}
"""Faults that take a number: its default, None if it must be given, and the largest."""
_NOISE_BYTES = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One misbehaviour, how often, when, and of whom."""

    kind: FaultKind
    amount: int = 0
    """Milliseconds of `slow`, code of `exception`, and so on."""
    probability: float = 1.0
    after_s: float = 0.0
    """Begins this long after it was switched on."""
    for_s: float = math.inf
    unit: int | None = None
    """Only this unit; None: all."""

    def __str__(self) -> str:
        """Return the fault in the grammar of `parse_fault`."""
        amount = f"={self.amount}" if self.amount else ""
        options = [
            f"p={self.probability:g}" if self.probability < 1.0 else "",
            f"after={self.after_s:g}" if self.after_s else "",
            f"for={self.for_s:g}" if self.for_s < math.inf else "",
            f"unit={self.unit}" if self.unit is not None else "",
        ]
        given = ",".join(option for option in options if option)
        return f"{self.kind}{amount}{':' if given else ''}{given}"


def parse_fault(text: str) -> Fault:
    """Return the fault that a person wrote.

    Raises:
        MistakeError: with the part that is wrong and what may stand there.

    >>> parse_fault("silence:p=0.1,for=5")
    Fault(kind=<FaultKind.SILENCE: 'silence'>, amount=0, probability=0.1, after_s=0.0, \
for_s=5.0, unit=None)
    """
    where = f"fault {text!r}"
    head, _, tail = text.partition(":")
    name, equals, amount_text = head.partition("=")
    try:
        kind = FaultKind(name)
    except ValueError:
        raise MistakeError(f"{name!r} is no fault", where=where, mend=f"use {HELP}") from None
    amount = _amount(kind, amount_text if equals else None, where)
    options = {"p": 1.0, "after": 0.0, "for": math.inf, "unit": math.nan}
    for option in tail.split(",") if tail else ():
        key, equals, value = option.partition("=")
        if key not in options or not equals:
            raise MistakeError(
                f"{option!r} is no option", where=where, mend="use p=, after=, for= or unit="
            )
        options[key] = _number(value, key, where)
    unit = options["unit"]
    if not 0.0 <= options["p"] <= 1.0:
        raise MistakeError("p is a probability from 0 to 1", where=where)
    if not math.isnan(unit) and unit not in range(1, 248):
        raise MistakeError("unit is a whole number from 1 to 247", where=where)
    return Fault(
        kind=kind,
        amount=amount,
        probability=options["p"],
        after_s=options["after"],
        for_s=options["for"],
        unit=None if math.isnan(unit) else int(unit),
    )


def _amount(kind: FaultKind, text: str | None, where: str) -> int:
    allowed = _AMOUNTS.get(kind)
    if allowed is None:
        if text is not None:
            raise MistakeError(f"{kind} takes no number", where=where)
        return 0
    default, high = allowed
    if text is None and default is not None:
        return default
    if text is None or not text.isascii() or not text.isdigit() or not 1 <= int(text) <= high:
        raise MistakeError(f"{kind} needs a whole number from 1 to {high}", where=where)
    return int(text)


def _number(text: str, key: str, where: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or value < 0.0:
        raise MistakeError(f"{key}={text} is not a number from 0 up", where=where)
    return value


@dataclass(frozen=True, slots=True)
class Verdict:
    """What happens to one request."""

    kind: FaultKind | None = None
    """None: it is served as it should be."""
    delay_ms: int = 0
    code: int = 0
    """The exception to answer."""
    noise: bytes = b""
    """What to send instead of the answer."""


class FaultPlan:
    """The faults that are switched on, and the draw for each request."""

    def __init__(self, *, seed: int = 0) -> None:
        self._seed = seed
        self._drawn = 0
        self._active: list[tuple[Fault, MonoMs]] = []

    @property
    def active(self) -> tuple[Fault, ...]:
        """Return what is switched on, whether or not inside its window now."""
        return tuple(fault for fault, _ in self._active)

    def add(self, fault: Fault, now_ms: MonoMs) -> None:
        """Switch a fault on; its window counts from now.

        Raises:
            MistakeError: too many at once.
        """
        if len(self._active) >= limits.SIM_FAULTS:
            raise MistakeError(f"more than {limits.SIM_FAULTS} faults at once", mend="clear some")
        self._active.append((fault, now_ms))

    def clear(self) -> None:
        """Switch all faults off."""
        self._active.clear()

    def standing(self, now_ms: MonoMs) -> tuple[Fault, ...]:
        """Return the faults of the device that are inside their windows, in order."""
        due = (fault for fault, since_ms in self._active if _is_due(fault, since_ms, now_ms))
        return tuple(fault for fault in due if fault.kind in STANDING)

    def judge(self, unit: int, now_ms: MonoMs) -> Verdict:
        """Draw what happens to a request: all delays add up, otherwise the first hit counts."""
        self._drawn += 1
        delay_ms = 0
        hit: Fault | None = None
        for index, (fault, since_ms) in enumerate(self._active):
            due = _is_due(fault, since_ms, now_ms) and fault.unit in {None, unit}
            if fault.kind in STANDING or not due:
                continue
            if uniform(self._seed, self._drawn, index) >= fault.probability:
                continue
            if fault.kind is FaultKind.SLOW:
                delay_ms += fault.amount
            elif hit is None:
                hit = fault
        if hit is None:
            return Verdict(delay_ms=delay_ms)
        noise = b""
        if hit.kind is FaultKind.GARBAGE:
            size = 1 + int(uniform(self._seed, self._drawn, -1) * _NOISE_BYTES)
            # The top bits keep it from being a Modbus TCP header or a served function by chance.
            noise = bytes(byte | 0x80 for byte in noise_bytes(size, self._seed, self._drawn))
        return Verdict(hit.kind, delay_ms, hit.amount, noise)


def _is_due(fault: Fault, since_ms: MonoMs, now_ms: MonoMs) -> bool:
    return 0.0 <= (now_ms - since_ms) / 1000.0 - fault.after_s < fault.for_s
