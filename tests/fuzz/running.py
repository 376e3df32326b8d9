"""Gives inputs to a target and watches: what comes out, and what it costs."""

import gc
import tracemalloc
from collections import Counter
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from shared.errors import RefusedError
from tests.fuzz.targets import TARGETS, Target

CORPUS = Path(__file__).with_name("corpus")
MEASURED_EVERY = 16
"""Measuring memory takes several times the run itself; long inputs are always measured."""
LONG_BYTES = 2_048


@dataclass
class Tally:
    """What a run has seen."""

    executions: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    """Reasons of refusal, and `accepted`."""
    peak_bytes: int = 0


def execute(target: Target, data: bytes, tally: Tally) -> None:
    """Give one input to a target.

    Raises:
        AssertionError: it took more memory than the target allows.
        Exception: whatever escaped the decoder, which is the finding.
    """
    measured = len(data) >= LONG_BYTES or tally.executions % MEASURED_EVERY == 0
    tally.executions += 1
    if not measured:
        tally.outcomes[_outcome(target, data)] += 1
        return
    gc.collect(0)
    tracemalloc.start()
    try:
        tally.outcomes[_outcome(target, data)] += 1
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    tally.peak_bytes = max(tally.peak_bytes, peak)
    assert peak <= target.most_bytes, f"{peak} bytes of memory for {len(data)} bytes of input"


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


def _outcome(target: Target, data: bytes) -> str:
    try:
        target.run(data)
    except RefusedError as error:
        return error.reason.text
    return "accepted"
