"""What a device that speaks lines of text is, to the port that carries it.

Owns the interface and what faults do to a line. Leaves out every kind of talk (`gauge`, `weather`,
`sdi12`) and sockets (`ports`).
"""

from dataclasses import dataclass
from typing import Protocol

from firmware_sim.bench import Bench, spoilt
from firmware_sim.faults import TEXT_FAULTS, FaultKind, Verdict

FAULTS = TEXT_FAULTS | {FaultKind.BAD_CRC}


@dataclass(frozen=True, slots=True)
class Spoken:
    """Bytes that leave after a while."""

    data: bytes
    after_ms: int = 0


class TextDevice(Protocol):
    """One device on a line."""

    bench: Bench

    @property
    def end(self) -> bytes:
        """Return the byte that ends what it hears."""

    @property
    def period_ms(self) -> int:
        """Return how often it speaks by itself; 0: never."""

    def hear(self, line: bytes) -> list[Spoken]:
        """Take what somebody said, without its end; return what goes back."""

    def speak(self) -> bytes:
        """Return what it says by itself now."""


def told(line: bytes, verdict: Verdict, *, check_at: int | None = None) -> list[Spoken]:
    """Return a line as a fault leaves it; `check_at` is where its checksum begins."""
    if verdict.kind is FaultKind.BAD_CRC and check_at is not None:
        damaged = b"0" if line[check_at : check_at + 1] != b"0" else b"1"
        line = line[:check_at] + damaged + line[check_at + 1 :]
    data = spoilt(line, verdict)
    return [Spoken(data, verdict.delay_ms)] if data else []
