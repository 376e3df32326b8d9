"""Other queues over SQLite, one execution after the other, as their own documentation does it.

They are no dependency: they live in the environment of the foreign programs (`make peers` makes
it), and this file runs there as a program of its own; where one is not installed its figure is
null. So it imports nothing of ours.
"""

import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path

_PAYLOAD = "x" * 200
_ENVIRONMENT = Path(sys.prefix) / "peers" / "bin" / "python"
_ABSENT = 3
"""Exit code of the program where a queue is not installed."""


def measure(name: str, folder: Path, count: int) -> float | None:
    """Return executions per second of a queue, None when it is not there."""
    if not _ENVIRONMENT.exists():
        return None
    command = [str(_ENVIRONMENT), __file__, name, str(folder), str(count)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == _ABSENT:
        return None
    assert done.returncode == 0, done.stderr
    return float(done.stdout)


huey, persist_queue = partial(measure, "huey"), partial(measure, "persist_queue")


def _huey(folder: Path, count: int) -> float:
    queue = import_module("huey").SqliteHuey(filename=str(folder / "huey.db"), fsync=True)
    noop = queue.task()(_noop)
    for _ in range(count):
        noop(_PAYLOAD)
    return _rate(count, lambda: queue.execute(queue.dequeue()))


def _persist_queue(folder: Path, count: int) -> float:
    queue = import_module("persistqueue").SQLiteAckQueue(str(folder), auto_commit=True)
    for _ in range(count):
        queue.put(_PAYLOAD)
    return _rate(count, lambda: queue.ack(queue.get()))


def _noop(payload: str) -> int:
    return len(payload)


def _rate(count: int, work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    for _ in range(count):
        work()
    return count / (time.perf_counter() - begun)


if __name__ == "__main__":
    try:
        found = {"huey": _huey, "persist_queue": _persist_queue}[sys.argv[1]](
            Path(sys.argv[2]), int(sys.argv[3])
        )
    except ModuleNotFoundError:
        sys.exit(_ABSENT)
    print(found)
