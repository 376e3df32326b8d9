"""The order in which tests run: slow ones first, spread over the processes, and none is lost."""

from types import SimpleNamespace
from typing import Any

import pytest

from tests.conftest import slow_first


def item(name: str, **markers: float) -> Any:
    """Return what a collected test tells of itself."""
    found = {kind: SimpleNamespace(args=(value,)) for kind, value in markers.items()}
    return SimpleNamespace(name=name, get_closest_marker=found.get)


SLOW = [item("a", slow=1), item("b", timeout=600), item("c", slow=1, timeout=300)]
QUICK = [item(f"q{number}") for number in range(20)]


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_every_process_begins_with_its_part_of_the_slow_tests(workers: int) -> None:
    given = [*QUICK[:7], *SLOW, *QUICK[7:]]
    order = slow_first(given, workers)
    assert sorted(map(id, order)) == sorted(map(id, given))
    begins = [order[len(given) * worker // workers] for worker in range(workers)]
    assert [one.name for one in begins] == ["b", "c", "a"][: len(begins)]
    assert [one for one in order if one in QUICK] == QUICK, "the rest keep the order they had"


def test_without_slow_tests_nothing_moves() -> None:
    assert slow_first(QUICK, 3) == QUICK
