"""Applies mutants to copies of the tree, one for each worker, and asks pytest what it notices."""

import json
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.memory import quick_place
from tests.mutants.mutant import Mutant

TREE = Path(__file__).resolve().parents[2]
COPIED = ("agent", "coordinator", "firmware_sim", "shared", "tests", "pyproject.toml")
"""All that the checks and the tests that must miss them need."""
WORKERS = min(((os.cpu_count() or 1) * 3 + 1) // 2, 12)
"""As many as make test starts: tests wait for programs."""
SHARE = 24
"""Tests that are run together without a mutant."""
TIMEOUT_S = 180
"""A mutant that makes its tests run for ever is noticed, but not by a sentence: that is broken."""

LONG = ("tests/simulation/test_world.py", "tests/property/", "tests/system/")
"""Tests that take longer than the rest."""

KILLED, SURVIVED, BROKEN = "killed", "survived", "broken"
_FAILED = 1
"""pytest's exit status for "tests ran and some failed"; everything else is our own mistake."""


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a mutant."""

    name: str
    outcome: str
    duration_s: float
    detail: str = ""


class Copy:
    """A copy of the tree, and the process that runs tests over it."""

    def __init__(self, tree: Path, place: Path) -> None:
        self.path = place
        place.mkdir()
        for name in COPIED:
            # With the compiled files and their times, so that nothing is compiled twice.
            if (tree / name).is_dir():
                shutil.copytree(tree / name, place / name)
            else:
                shutil.copy2(tree / name, place / name)
        # Two pytests that tidy one folder up trip over each other.
        (place / "temporary").mkdir()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.mutants.worker"],
            cwd=place,
            env=os.environ
            | {
                "PYTHONPATH": str(place),
                "PYTEST_DEBUG_TEMPROOT": str(place / "temporary"),
                "PYTHONDONTWRITEBYTECODE": "1",
                "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, tests: Iterable[str]) -> tuple[int, str]:
        """Return pytest's exit status over some tests, and the end of what it said."""
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        # The worker's child ends with it: a stopped worker means a new copy, so it is the end.
        alarm = threading.Timer(TIMEOUT_S, process.kill)
        alarm.start()
        try:
            process.stdin.write(json.dumps(list(tests)) + "\n")
            process.stdin.flush()
            answer = process.stdout.readline()
        finally:
            alarm.cancel()
        if not answer:
            raise RuntimeError(f"the tests did not end within {TIMEOUT_S} s, or pytest died")
        status, said = json.loads(answer)
        return status, said

    def close(self) -> None:
        """Let the process end."""
        self._process.stdin.close()  # type: ignore[union-attr]  # a pipe, as asked above
        self._process.wait(TIMEOUT_S)
        self._process.stdout.close()  # type: ignore[union-attr]  # a pipe, as asked above


def run_mutants(
    mutants: Sequence[Mutant], *, tree: Path = TREE, on_result: Callable[[Result], None]
) -> list[Result]:
    """Return what became of each mutant, telling `on_result` as it goes.

    Raises:
        ValueError: a mutant's text is not in the source, or the tests fail without a mutant.
        RuntimeError: the tests under a mutant did not end.
    """
    for mutant in mutants:
        mutant.apply(tree)
    results: list[Result] = []
    workers = min(WORKERS, len(mutants))
    with _copies(tree, workers) as copies, ThreadPoolExecutor(workers) as pool:
        sound = _run_without(mutants, copies, pool)
        # Long ones first: at the end every core has something left to do.
        running = [pool.submit(_judge, one, copies) for one in sorted(mutants, key=_is_quick)]
        try:
            _check_baseline(sound)
            for done in as_completed(running):
                results.append(done.result())
                on_result(results[-1])
        finally:
            pool.shutdown(cancel_futures=True)
    order = {mutant.name: place for place, mutant in enumerate(mutants)}
    return sorted(results, key=lambda result: order[result.name])


def _is_quick(mutant: Mutant) -> bool:
    return not any(test.startswith(LONG) for test in mutant.tests)


@contextmanager
def _copies(tree: Path, count: int) -> Iterator["queue.SimpleQueue[Copy]"]:
    copies: queue.SimpleQueue[Copy] = queue.SimpleQueue()
    with ExitStack() as stack:
        memory = tempfile.TemporaryDirectory(prefix="outstation-mutants-", dir=quick_place())
        place = stack.enter_context(memory)
        for number in range(count):
            copy = Copy(tree, Path(place) / str(number))
            stack.callback(copy.close)
            copies.put(copy)
        yield copies


@contextmanager
def _borrowed(copies: "queue.SimpleQueue[Copy]") -> Iterator[Copy]:
    copy = copies.get()
    try:
        yield copy
    finally:
        copies.put(copy)


def _run_without(
    mutants: Sequence[Mutant], copies: "queue.SimpleQueue[Copy]", pool: ThreadPoolExecutor
) -> list[Future[tuple[int, str]]]:
    """Run every named test without a mutant, in small shares: each has the time of a mutant's."""

    def run(tests: Sequence[str]) -> tuple[int, str]:
        with _borrowed(copies) as copy:
            return copy.run(tests)

    named = sorted({test for mutant in mutants for test in mutant.tests})
    shares = [named[first : first + SHARE] for first in range(0, len(named), SHARE)]
    return [pool.submit(run, share) for share in shares]


def _check_baseline(runs: Iterable[Future[tuple[int, str]]]) -> None:
    """Refuse tests that fail without a mutant: they notice nothing."""
    for status, said in (run.result() for run in runs):
        if status != 0:
            raise ValueError(f"the tests fail without any mutant:\n{said}")


def _judge(mutant: Mutant, copies: "queue.SimpleQueue[Copy]") -> Result:
    with _borrowed(copies) as copy:
        path = copy.path / mutant.file
        before, times = path.read_bytes(), path.stat()
        begun = time.monotonic()
        try:
            path.write_text(mutant.apply(copy.path))
            status, said = copy.run(mutant.tests)
        finally:
            path.write_bytes(before)
            os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    took = round(time.monotonic() - begun, 2)
    if status == _FAILED and mutant.says in said:
        return Result(mutant.name, KILLED, took)
    if status == _FAILED:
        return Result(mutant.name, SURVIVED, took, f"nobody said {mutant.says!r}:\n{said}")
    if status == 0:
        return Result(mutant.name, SURVIVED, took, " ".join(mutant.tests))
    return Result(mutant.name, BROKEN, took, said)
