"""What a run tried, written down for whoever adds it up (`python -m tests.bench proof`)."""

import json
import os
from pathlib import Path
from typing import Final

TALLY: Final = "OUTSTATION_TALLY"
"""Names a file; unset, nothing is written down."""


def tried(**counts: int) -> None:
    """Note how often something was tried, once it came out well."""
    if TALLY in os.environ:
        with Path(os.environ[TALLY]).open("a") as file:
            file.write(json.dumps(counts) + "\n")


def added_up(path: Path) -> dict[str, int]:
    """Return the sums of all that was noted."""
    sums: dict[str, int] = {}
    for line in path.read_text().splitlines() if path.exists() else ():
        for name, count in json.loads(line).items():
            sums[name] = sums.get(name, 0) + count
    return sums
