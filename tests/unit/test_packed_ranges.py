"""Sets of numbers as the coordinator's database keeps them, and what remembering them costs."""

import gc
import tracemalloc

import pytest

from coordinator.transactions.rows import pack_ranges, unpack_ranges
from shared import limits
from shared.sync.ranges import Ranges


def with_gaps(ranges: int, first: int = 1) -> Ranges:
    return Ranges(tuple((first + 10 * n, first + 10 * n + 5) for n in range(ranges)))


@pytest.mark.parametrize("ranges", [0, 1, 2, 3, limits.RANGES, limits.RANGES + 1])
def test_a_set_comes_back_as_it_was(ranges):
    for first in (1, 1 << 40):
        numbers = with_gaps(ranges, first)
        assert unpack_ranges(pack_ranges(numbers)) == numbers


def test_sets_with_many_gaps_leave_nothing_in_memory():
    """An agent that reports its gaps anew each time would fill the coordinator with them."""
    tracemalloc.start()
    try:
        for first in range(1, 100):
            unpack_ranges(pack_ranges(with_gaps(limits.RANGES, first << 32)))
        gc.collect()
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 100_000, "one of them is 68 kB"
