"""Gives inputs to a target and watches: what comes out, where it was refused, and what it costs."""

import gc
import signal
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from types import FrameType

from shared.errors import RefusedError
from tests.fuzz.targets import TARGETS, Target

CORPUS = Path(__file__).with_name("corpus")
MEASURED_EVERY = 16
"""Measuring memory takes several times the run itself; long inputs are always measured."""
LONG_BYTES = 2_048
HANG_S = 10.0
"""Processor time of one input. The slowest takes milliseconds; this is for what never ends."""
ACCEPTED = "accepted"

Place = tuple[str, int]
"""File and line where an input was refused."""


@dataclass
class Tally:
    """What a run has seen."""

    executions: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    """Reasons of refusal, and `accepted`."""
    peak_bytes: int = 0

    def add(self, other: "Tally") -> None:
        """Count another run's too."""
        self.executions += other.executions
        self.outcomes += other.outcomes
        self.peak_bytes = max(self.peak_bytes, other.peak_bytes)


def execute(target: Target, data: bytes, tally: Tally) -> None:
    """Give one input to a target; what is long is measured, and some of the rest.

    Raises:
        AssertionError: it took more memory than the target allows.
        Exception: whatever escaped the decoder, which is the finding.
    """
    if len(data) >= LONG_BYTES or tally.executions % MEASURED_EVERY == 0:
        measure(target, data, tally)
    else:
        watch(target, data, tally)


def watch(target: Target, data: bytes, tally: Tally) -> Place | None:
    """Give one input to a target; return where it was refused, None: nowhere.

    Raises:
        Exception: whatever escaped the decoder, which is the finding.
    """
    tally.executions += 1
    try:
        target.run(data)
    except RefusedError as error:
        tally.outcomes[error.reason.text] += 1
        return _place(error)
    tally.outcomes[ACCEPTED] += 1
    return None


def measure(target: Target, data: bytes, tally: Tally) -> Place | None:
    """Do the same, and count the memory that it took.

    Raises:
        AssertionError: it was more than the target allows.
        Exception: whatever escaped the decoder, which is the finding.
    """
    gc.collect(0)
    tracemalloc.start()
    try:
        place = watch(target, data, tally)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    tally.peak_bytes = max(tally.peak_bytes, peak)
    assert peak <= target.most_bytes, f"{peak} bytes of memory for {len(data)} bytes of input"
    return place


@contextmanager
def hangs_end() -> Iterator[None]:
    """Let what uses up `HANG_S` of processor time from here on end in an `AssertionError`.

    For the main thread of a process: it is a signal of the kernel's that ends it.
    """

    def end(_number: int, _frame: FrameType | None) -> None:
        raise AssertionError(f"no end within {HANG_S} s of processor time")

    before = signal.signal(signal.SIGPROF, end)
    signal.setitimer(signal.ITIMER_PROF, HANG_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def corpus(name: str) -> list[Path]:
    """Return the files a target is replayed against."""
    return sorted((CORPUS / name).glob("*.bin"))


def keep(name: str, data: bytes) -> Path:
    """Write a finding where the test suite will replay it."""
    path = CORPUS / name / f"found-{sha256(data).hexdigest()[:12]}.bin"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    return path


def named(names: list[str]) -> dict[str, Target]:
    """Return the targets of some names; all without any."""
    return {name: TARGETS[name] for name in names or TARGETS}


def _place(error: BaseException) -> Place:
    found = error.__traceback__
    assert found is not None, "it was raised"
    while found.tb_next is not None:
        found = found.tb_next
    return found.tb_frame.f_code.co_filename, found.tb_lineno
