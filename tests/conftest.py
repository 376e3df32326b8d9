"""What holds for every test: nothing leaks, nothing of a peer is skipped unseen, two profiles.

Owns where temporary files lie, the leak check, the `peer` marker and hypothesis' profiles. Leaves
out fixtures of the product: those stand in the conftest.py of the folder that needs them.

A test leaks when something lives on that was not there before its own fixtures were set up: an
asyncio task, a thread, a file descriptor or a child process. What a module's or a session's fixture
opens is that fixture's: pytest sets it up before the check takes its picture.
"""

import asyncio
import contextlib
import gc
import os
import signal
import sys
import tempfile
import threading
from collections.abc import AsyncIterator, Generator, Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from pytest_asyncio import is_async_test

from tests.length import AT_LENGTH, SHORT, USUAL
from tests.memory import quick_place

PEERS = "peers"
"""The folder whose tests need software that was not written here."""
REQUIRE_PEERS = "OUTSTATION_REQUIRE_PEERS"
"""Set by .ci/run, which has installed every peer: there a skipped peer test is a failure."""
VERDICT = pytest.StashKey[int]()
"""The exit status of the run."""
TEMPORARY = "PYTEST_DEBUG_TEMPROOT"
"""Where pytest makes its temporary folders, if anybody says so."""
TURNS = 16
"""Turns of the loop that a task which has been told to stop may take to do so."""
STOP_S = 30.0
"""A thread, or a cancelled task, is waited for; one that was not told to stop never ends, so this
only bounds how long a failing test takes."""

# No deadline: a shared machine's pause is not a defect. Random on purpose: each run looks
# elsewhere, and a failure prints the blob that repeats it.
settings.register_profile(
    "dev",
    deadline=None,
    max_examples=USUAL if AT_LENGTH else SHORT,
    print_blob=True,
    derandomize=False,
)
settings.register_profile(
    "ci",
    deadline=None,
    max_examples=200,
    print_blob=True,
    # A red run must be red again when it is looked at; the dev profile is the one that explores.
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if "CI" in os.environ else "dev"))


# A shell lets what it starts in the background ignore an interrupt, and so would all that the tests
# start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)


# --- temporary files ----------------------------------------------------------------------------
def pytest_configure() -> None:
    """Let temporary files lie in memory, unless somebody said where they shall lie."""
    place = quick_place()
    if place is not None and not {TEMPORARY, "TMPDIR"} & os.environ.keys():
        os.environ[TEMPORARY] = str(place)


@pytest.fixture(scope="session", autouse=True)
def _temporary_files_beside_the_others(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What a test makes by itself lies there, too, and goes with the rest if it is forgotten."""
    before, tempfile.tempdir = tempfile.tempdir, str(tmp_path_factory.getbasetemp())
    yield
    tempfile.tempdir = before


# --- leaks --------------------------------------------------------------------------------------
PASSING = "/proc/sys/vm/overcommit_memory"
"""The C library looks into it for a moment when the heap of a thread that ends shrinks (glibc,
malloc/arena.c); a thread that was joined may still be at that."""


def descriptors() -> dict[int, str]:
    """Open descriptors of this process and what each points to; the listing's own is left out."""
    found = {}
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208  # it is asked twice for each test
        try:
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")  # noqa: PTH115  # same
        except FileNotFoundError:  # the descriptor that listed the folder
            continue
    return {fd: place for fd, place in found.items() if place != PASSING}


def children() -> set[int]:
    """Process ids of living children; empty where the kernel does not tell."""
    found: set[int] = set()
    for task in Path("/proc/self/task").iterdir():
        try:
            found.update(int(pid) for pid in (task / "children").read_text().split())
        except OSError:  # the thread ended meanwhile, or a kernel without CONFIG_PROC_CHILDREN
            continue
    return found


def new_descriptors(before: dict[int, str]) -> list[str]:
    """Descriptors that were not open before, or that point elsewhere now."""
    now = descriptors()
    return [f"descriptor {fd} -> {now[fd]}" for fd in now if before.get(fd) != now[fd]]


def new_threads(before: set[threading.Thread]) -> list[str]:
    """Threads that still run after they were given the time to end."""
    started = [thread for thread in threading.enumerate() if thread not in before]
    for thread in started:
        thread.join(STOP_S)
    return [f"thread {thread.name}" for thread in started if thread.is_alive()]


def ended_children(before: set[int]) -> list[str]:
    """Child processes that were not there before; they are killed, or they would disturb others."""
    born = sorted(children() - before)
    for pid in born:
        with contextlib.suppress(ProcessLookupError):  # it ended by itself just now
            os.kill(pid, signal.SIGKILL)
    return [f"child process {pid}" for pid in born]


@pytest.fixture(autouse=True)
def nothing_leaks() -> Iterator[None]:
    """Fails a test that leaves a thread, a descriptor or a child process behind.

    The first fixture of every test, therefore torn down last: after the test's own fixtures and
    after the event loop, whose closing ends its executor's threads and its own sockets.
    """
    threads, open_before, born_before = set(threading.enumerate()), descriptors(), children()
    yield
    leaks = new_threads(threads)
    if new_descriptors(open_before):
        # What only a cycle keeps open is reported by its own ResourceWarning, which is an error
        # here; what is still open after this has an owner that forgot it.
        gc.collect()
        leaks += new_descriptors(open_before)
    leaks += ended_children(born_before)
    if leaks:
        pytest.fail("left behind: " + ", ".join(leaks), pytrace=False)


@pytest.fixture
async def no_task_leaks() -> AsyncIterator[None]:
    """Fails an async test that leaves a task running on its loop; added to each at collection."""
    before = asyncio.all_tasks()
    yield
    leaked: set[asyncio.Task[object]] = set()
    for _ in range(TURNS):
        leaked = asyncio.all_tasks() - before - {asyncio.current_task()}
        if not leaked:
            return
        await asyncio.sleep(0)
    if stopping := {task for task in leaked if task.cancelling()}:
        # They may wait for a thread or a process, and the machine runs others meanwhile.
        leaked -= (await asyncio.wait(stopping, timeout=STOP_S))[0]
    if not leaked:
        return
    names = sorted(f"task {task.get_name()} {task.get_coro()!r}" for task in leaked)
    pytest.fail("left behind: " + ", ".join(names), pytrace=False)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Remember the verdict for `pytest_unconfigure`; stop the PostgreSQL that a test started."""
    session.config.stash[VERDICT] = int(exitstatus)
    if "tests.postgres_parts" in sys.modules:
        sys.modules["tests.postgres_parts"].close()


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """A thread that leaked and is no daemon (aiosqlite's) would keep the reported run alive."""
    stuck = [t for t in threading.enumerate() if t is not threading.main_thread() and not t.daemon]
    if stuck and VERDICT in config.stash:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(config.stash[VERDICT])


# --- peers --------------------------------------------------------------------------------------
def is_peer(node: pytest.Item | pytest.Collector) -> bool:
    """Whether a test, or a module of tests, stands in the peers' folder."""
    return PEERS in node.nodeid.partition("::")[0].split("/")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what stands in tests/peers; watch the tasks of every async test; slow ones go first."""
    items[:] = slow_first(items, int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")))
    for item in items:
        if is_peer(item):
            item.add_marker(pytest.mark.peer)
        if is_async_test(item):
            # Right after the other leak check: set up before the test's own fixtures, torn down
            # after them and before the loop closes, which would cancel the evidence.
            item.fixturenames.insert(item.fixturenames.index("nothing_leaks") + 1, "no_task_leaks")


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Leave all that was collected out of collections of garbage: it stays to the end anyway.

    A search through thousands of tests takes 0.2 s, and some tests ask for one each time.
    """
    gc.freeze()


def slow_first(items: Sequence[pytest.Item], workers: int) -> list[pytest.Item]:
    """Let each process begin with its part of the slow tests: quick ones are left for the end.

    A process is given one piece of the whole; then it takes from the ends of other pieces.
    """
    slow = sorted(filter(most_s, items), key=most_s, reverse=True)
    quick = [item for item in items if not most_s(item)]
    order: list[pytest.Item] = []
    for worker in range(workers):
        mine = slow[worker::workers]
        end = len(items) * (worker + 1) // workers - len(order) - len(mine)
        order += [*mine, *quick[: max(0, end)]]
        del quick[: max(0, end)]
    return order + quick


def most_s(item: pytest.Item) -> float:
    """Return how long a test that is known to be slow may take, 0 for any other."""
    allowed, slow = item.get_closest_marker("timeout"), item.get_closest_marker("slow")
    return float(allowed.args[0]) if allowed else 120.0 if slow else 0.0


def refuse_skip(
    node: pytest.Item | pytest.Collector, report: pytest.TestReport | pytest.CollectReport
) -> None:
    """Turn a peer's skip into a failure where every peer is said to be installed."""
    skipped = report.outcome == "skipped" and not hasattr(report, "wasxfail")
    if skipped and is_peer(node) and REQUIRE_PEERS in os.environ:
        report.outcome = "failed"
        report.longrepr = f"{REQUIRE_PEERS} is set, yet this was skipped: {report.longrepr}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A peer test that skips although its peer must be there has failed."""
    report = yield
    refuse_skip(item, report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """The same for a whole module that skips itself while it is imported."""
    report = yield
    refuse_skip(collector, report)
    return report
