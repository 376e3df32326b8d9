"""A plugin of pytest (`-p tests.simulation.world.walked`): which edges of tasks each test walks.

Looks at every agent's database after each commit, as the worlds do, and names the edges in the
summary. Leaves out judging them.
"""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.model.job import TaskState
from tests.simulation.world.disk import Disk, Disks

_WALKED: set[str] = set()


@pytest.fixture(autouse=True)
def _looked_at(request: pytest.FixtureRequest) -> Iterator[None]:
    at: dict[tuple[Path, int, int], TaskState] = {}

    def look(db: sqlite3.Connection, path: Path) -> None:
        tasks = []
        with contextlib.suppress(sqlite3.Error):  # another program's database
            tasks = db.execute("SELECT number, firing, state FROM task").fetchall()
        for number, firing, state in tasks:
            before, now = at.get((path, number, firing), TaskState.READY), TaskState(state)
            at[path, number, firing] = now
            if before is not now:
                _WALKED.add(f"{request.node.nodeid} task {before.name} {now.name}")

    disks = Disks()
    disks.mount(Disk(Path("/"), struck=lambda _: None, look=look))
    with disks.in_force():
        yield


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name tests and their edges, one a line."""
    for edge in sorted(_WALKED):
        terminalreporter.write_line(f"walked: {edge}")
