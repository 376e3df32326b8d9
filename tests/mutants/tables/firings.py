"""Firings of standing jobs: what becomes of one, and what it may do to others."""

from tests.mutants.mutant import cuts

_FIRINGS = "tests/simulation/test_standing_firings.py::test_"

_rows = cuts("firings", "agent/store/standing_rows.py", _FIRINGS)

FIRINGS = (
    _rows(
        "told-twice",
        "        if not seen:\n",
        "        if False:\n",
        "a_firing_that_calls_off_its_own_rest_is_told_once",
    ),
)
