"""Other queues over SQLite, one execution after the other, as their own documentation does it.

They are no dependency: where one is not installed its figure is null.
"""

import time
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

_PAYLOAD = "x" * 200


def huey(folder: Path, count: int) -> float | None:
    """Return executions per second of huey on SQLite with fsync, None when it is not there."""
    if find_spec("huey") is None:
        return None
    queue = import_module("huey").SqliteHuey(filename=str(folder / "huey.db"), fsync=True)
    noop = queue.task()(_noop)
    for _ in range(count):
        noop(_PAYLOAD)
    return _rate(count, lambda: queue.execute(queue.dequeue()))


def persist_queue(folder: Path, count: int) -> float | None:
    """Return executions per second of persist-queue's SQLiteAckQueue, None when it is not there."""
    if find_spec("persistqueue") is None:
        return None
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
