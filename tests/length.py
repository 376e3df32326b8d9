"""How long a run may take: `.ci/run` plays at length what `make test` plays shorter."""

import os
from typing import Final

from hypothesis import settings

LONG: Final = "OUTSTATION_LONG"
"""Set by .ci/run: minutes are no reason to leave anything out."""
AT_LENGTH: Final = LONG in os.environ
USUAL, SHORT = 50, 25
"""Examples that hypothesis tries of one test, at length and in `make test`."""


def examples(count: int) -> int:
    """Return how many a test tries that wishes for a number of its own: fewer where all do."""
    return -(-count * min(settings().max_examples, USUAL) // USUAL)
