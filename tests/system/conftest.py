"""Fixtures of the system tests."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.system.fleet import Fleet, open_fleet


@pytest.fixture
async def fleet(tmp_path: Path, founded: Path) -> AsyncIterator[Fleet]:
    """An empty fleet; whatever a test starts in it is stopped at its end."""
    async with open_fleet(tmp_path, founded) as found:
        yield found


@pytest.fixture(scope="session")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the keys of the run's one fleet are kept; the first coordinator makes them."""
    return tmp_path_factory.mktemp("founded") / "coordinator"
