"""Thirty days of a world on virtual time, with little that goes wrong: nothing may pile up.

Owns the month and what is noted of it each midnight. What happens in it, and what must be true of
it in the end, are the worlds' own (`tests.simulation.world`); how a real fleet fares in real
minutes is `tests.soak`'s.
"""

import asyncio
import gc
import logging
import shutil
import sys
import tempfile
import tracemalloc
from collections.abc import Mapping
from functools import _lru_cache_wrapper, partial
from pathlib import Path
from typing import Any, Final

from tests.simulation.loop import World, simulate
from tests.simulation.world.ground import Ground
from tests.simulation.world.play import LONGEST_S, MEMORY, Play
from tests.soak.gauges import Bound, grown, size

DAY_S: Final = 86_400
A_DAY: Final = ("ask", "ask", "weather")
"""What is told each day; besides, one of `NOW_AND_THEN`."""
NOW_AND_THEN: Final = (
    *("kill", "stop", "bad line", "sick device", "change of mind", "rollout", "standing"),
    *("reboot", "disk", "clock step", "sticks"),
)
PRODUCT: Final = ("agent", "shared", "coordinator")
INTERNED: Final = 60_000
"""Strings interned before anything is counted. msgpack interns the keys of maps, and a table of
interned strings that is full is laid anew, 2 MB in one piece, under whatever line of ours met it;
with this much more room a month does not fill it."""
BOUNDS: Final[Mapping[str, Bound]] = {
    "held_mb": Bound(1.05, 0.2),
    "tasks": Bound(1.0, 4),
    "descriptors": Bound(1.0, 4),
    "threads": Bound(1.0, 1),
    "wal_mb": Bound(1.5, 2),
    "agent_mb": Bound(1.25, 0.5),
    "files": Bound(1.0, 4),
    "temporary": Bound(1.0, 1),
}
"""The coordinator's database is not here: it keeps what agents delivered."""


class Month(Play):
    """One world for so many days."""

    def __init__(self, ground: Ground, days: int) -> None:
        super().__init__(ground)
        self.days, self.samples = days, list[dict[str, float]]()
        self.longest_s = days * DAY_S + LONGEST_S

    async def _happen(self) -> None:
        for day in range(self.days):
            chance = self.ground.chance("day", day)
            told = [*A_DAY, chance.choice(NOW_AND_THEN)]
            stories = [
                asyncio.create_task(self._tell(self.scene, 100 * day + number, name))
                for number, name in enumerate(told)
            ]
            await asyncio.sleep(DAY_S)
            await asyncio.gather(*stories)
            self.samples.append(self._look())

    def _look(self) -> dict[str, float]:
        _forget()
        # Of each reading the world writes down the very number that the product made.
        written = sum(sys.getsizeof(number) for site in self.sites for _, number in site.recorded)
        folders = [lives.folder for lives in (self.centre, *self.sites)]
        files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
        own = [path for path in files if path.name in {"telemetry.db", "jobs.db"}]
        logs = [path for path in files if path.name.endswith("-wal")]
        return {
            "held_mb": round((_held() - written) / (1 << 20), 3),
            "tasks": len(asyncio.all_tasks()),
            "descriptors": len(list(Path("/proc/self/fd").iterdir())),
            "threads": len(list(Path("/proc/self/task").iterdir())),
            "wal_mb": round(sum(map(size, logs)) / (1 << 20), 3),
            "agent_mb": round(sum(map(size, own)) / (1 << 20), 3),
            "files": len(files),
            "temporary": sum(path.is_file() for path in Path(tempfile.gettempdir()).rglob("*")),
        }


def _forget() -> None:
    """Empty the product's caches that have a bound, and fill for weeks until they reach it."""
    for one in gc.get_objects():
        if isinstance(one, _lru_cache_wrapper) and one.cache_parameters()["maxsize"] is not None:
            one.cache_clear()
    gc.collect()


def _held() -> int:
    """Return the bytes that the product's own code asked for and that somebody still holds."""
    tree = Path(__file__).parents[2]
    mine = [tracemalloc.Filter(True, f"{tree}/{package}/*") for package in PRODUCT]
    traces = tracemalloc.take_snapshot().filter_traces(mine)
    return sum(one.size for one in traces.statistics("filename"))


def month(days: int, seed: int) -> dict[str, Any]:
    """Live through so many days; return what was noted of them, and what was wrong."""
    before, temporary = logging.root.manager.disable, tempfile.tempdir
    logging.disable(logging.CRITICAL)
    folder = Path(tempfile.mkdtemp(prefix="month-", dir=MEMORY if MEMORY.is_dir() else None))
    room = [sys.intern(f"month {number}") for number in range(INTERNED)]
    try:
        tempfile.tempdir = str(folder / "tmp")
        Path(tempfile.tempdir).mkdir()
        tracemalloc.start()
        return simulate(partial(_live, folder=folder / "world", days=days), seed=seed)
    finally:
        tracemalloc.stop()
        room.clear()
        tempfile.tempdir = temporary
        logging.disable(before)
        shutil.rmtree(folder, ignore_errors=True)


async def _live(world: World, *, folder: Path, days: int) -> dict[str, Any]:
    folder.mkdir()
    ground = Ground(world, folder)
    stage = Month(ground, days)
    await stage.run()
    return {
        "virtual_days": days,
        "seed": world.seed,
        "readings": sum(len(site.recorded) for site in stage.sites),
        "jobs": len(stage.people.asked),
        "faults": sum(ground.hits.values()),
        "first": stage.samples[0],
        "last": stage.samples[-1],
        "wrong": [*ground.wrongs, *grown(stage.samples, BOUNDS, {})],
    }
