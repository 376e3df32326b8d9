"""Deterministic asyncio: virtual time, no threads, no sockets; SQLite runs inside the loop.

Owns the loop, the virtual clock, seeded entropy, and aiosqlite without its thread. Leaves out the
network and the actors of a world. Everything random in a run comes from the loop's one seed, so
the seed alone repeats it: same order, same times, same faults.

    result = simulate(scenario, seed=7)     # async def scenario(world: World) -> T
"""

import asyncio
import hashlib
import random
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar, TypeVarTuple, cast
from unittest import mock

import aiosqlite.core

from shared.clock import ClockState, Instant, MonoMs, WallMs

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

START_WALL_MS = WallMs(1_767_225_600_000)
"""2026-01-01T00:00:00Z: where every simulated day begins."""
DISK_S = 0.005
"""Longest that a simulated disk keeps a transaction waiting: an SD card's fsync."""


TICK_S = 1e-6
"""Smallest difference of two virtual times."""


class DeadlockError(AssertionError):
    """Tasks wait, but nothing is ready and no timer is set: nothing can ever happen again."""


class _Task(asyncio.Task[Any]):
    """A task that hashes by its number: sets of tasks then iterate alike in every run.

    A task group cancels its children in the order of a set; by address, no two runs are equal.
    """

    def __init__(self, number: int, *arguments: Any, **options: Any) -> None:
        self.number = number
        super().__init__(*arguments, **options)

    def __hash__(self) -> int:
        return self.number


def _numbered(loop: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> _Task:
    assert isinstance(loop, SimLoop), "the factory of a simulated loop"
    return _Task(loop.next_number(), coro, loop=loop, **options)


class _Selector:
    """Stands where the loop waits for sockets: instead of waiting, time moves on."""

    def __init__(self, loop: "SimLoop") -> None:
        self._loop = loop

    def select(self, timeout: float | None) -> list[object]:
        if timeout is None:
            raise DeadlockError(
                f"nothing is ready and no timer is set at {self._loop.time():.3f} s"
            )
        if timeout > 0:
            self._loop.advance()
        return []


class SimLoop(asyncio.BaseEventLoop):
    """An event loop whose time jumps to the next timer; without sockets and threads."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.random = random.Random(seed)
        self.turns = 0
        self._now_s = 0.0
        self._selector = _Selector(self)
        # Above the spacing of floats at 30 years of seconds: a due timer is always seen as due.
        self._clock_resolution = TICK_S
        self._task_number = 0
        self.set_task_factory(_numbered)

    def time(self) -> float:
        """Return virtual seconds since the loop was made."""
        return self._now_s

    def next_number(self) -> int:
        """Return how many tasks there were so far."""
        self._task_number += 1
        return self._task_number

    def advance(self) -> None:
        """Move to the earliest timer, however far; asyncio itself would wait a day at most."""
        timers = cast("list[asyncio.TimerHandle]", self._scheduled)  # type: ignore[attr-defined]
        self._now_s = max(self._now_s, timers[0].when())

    def answer(
        self, waiter: asyncio.Future[T], function: Callable[[], T], *, after_s: float = 0.0
    ) -> float:
        """Run `function` now; deliver its result after a seeded disk's delay, later than `after_s`.

        Returns when `waiter` gets it, in virtual seconds.
        """
        try:
            result, error = function(), None
        except Exception as raised:  # noqa: BLE001  # whatever it is, it is the waiter's
            result, error = cast("T", None), raised

        def deliver() -> None:
            if waiter.done():
                return
            if error is None:
                waiter.set_result(result)
            else:
                waiter.set_exception(error)

        when_s = max(after_s, self.time()) + self.random.uniform(TICK_S, DISK_S)
        self.call_at(when_s, deliver)
        return when_s

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts
    ) -> asyncio.Future[T]:
        """Run `func` inline: there are no threads here."""
        waiter: asyncio.Future[T] = self.create_future()
        self.answer(waiter, lambda: func(*args))
        return waiter

    def _run_once(self) -> None:
        self.turns += 1
        super()._run_once()  # type: ignore[misc]

    def _process_events(self, event_list: list[object]) -> None:
        assert not event_list, "a simulated loop has no sockets"

    def _write_to_self(self) -> None:
        """Wake a loop that never sleeps."""


class _InlineQueue:
    """aiosqlite's queue to its thread: the same functions in the same order, run in the loop.

    Answers keep their order too, as those of one thread do.
    """

    def __init__(self) -> None:
        self._last_s = 0.0

    def put_nowait(self, item: tuple[asyncio.Future[Any] | None, Callable[[], Any]]) -> None:
        waiter, function = item
        if waiter is None:  # a connection that nobody closed, found by the collector
            function()
            return
        loop = waiter.get_loop()
        assert isinstance(loop, SimLoop), "aiosqlite is inline only inside a simulation"
        self._last_s = loop.answer(waiter, function, after_s=self._last_s)


class _NoThread:
    """aiosqlite's thread, which has nothing to do."""

    def __init__(self, target: object = None, args: object = ()) -> None:
        self.daemon = False

    def start(self) -> None:
        """Do nothing: the queue runs what it is given."""

    def join(self) -> None:
        """Return at once."""


@contextmanager
def inline_aiosqlite() -> Iterator[None]:
    """Run every aiosqlite connection made meanwhile inside its simulated loop.

    Two private names of aiosqlite 0.22; `test_simulation_loop` fails when they move.
    """
    with (
        mock.patch.object(aiosqlite.core, "Thread", _NoThread),
        mock.patch.object(aiosqlite.core, "SimpleQueue", _InlineQueue),
    ):
        yield


class SeededEntropy:
    """`shared.clock.Entropy` that a seed repeats."""

    def __init__(self, source: random.Random) -> None:
        self._source = source

    def token(self, size: int) -> bytes:
        """Return `size` bytes."""
        return self._source.randbytes(size)

    def fraction(self) -> float:
        """Return a number in [0, 1)."""
        return self._source.random()


class Ticking(Protocol):
    """What moves a virtual clock: a loop, or anything else with a time in seconds."""

    def time(self) -> float:
        """Return seconds that only grow."""


@dataclass
class VirtualClock:
    """`shared.clock.Clock` of one simulated machine: it steps, drifts, reboots, loses its time."""

    ticks: Ticking
    entropy: SeededEntropy
    state: ClockState = ClockState.SYNCED
    err_ms: int = 0
    _wall_base_ms: float = float(START_WALL_MS)
    _wall_since_s: float = 0.0
    _booted_s: float = 0.0
    _drift_ppm: float = 0.0
    boot_id: bytes = field(init=False)

    def __post_init__(self) -> None:
        self.boot_id = self.entropy.token(16)
        self._wall_since_s = self._booted_s = self.ticks.time()

    def wall_ms(self) -> WallMs:
        """Return what this machine believes UTC to be."""
        return WallMs(int(self._wall()))

    def mono_ms(self) -> MonoMs:
        """Return milliseconds since this machine's last boot."""
        passed_s = self.ticks.time() - self._booted_s
        return MonoMs(int(passed_s * 1000))

    def now(self) -> Instant:
        """Return both."""
        return Instant(
            wall_ms=self.wall_ms(),
            mono_ms=self.mono_ms(),
            boot_id=self.boot_id,
            state=self.state,
            err_ms=self.err_ms,
        )

    def step(self, by_ms: int, *, state: ClockState = ClockState.STEPPED) -> None:
        """Set the wall clock forward, or back with a negative number."""
        self._rebase(self._wall() + by_ms)
        self.state = state

    def drift(self, ppm: float) -> None:
        """Let the wall clock run fast (positive) or slow from now on, in parts per million."""
        self._rebase(self._wall())
        self._drift_ppm = ppm

    def synchronise(self, *, err_ms: int = 10) -> None:
        """Set the wall clock right, as a time source would."""
        self._rebase(START_WALL_MS + self.ticks.time() * 1000)
        self._drift_ppm, self.state, self.err_ms = 0.0, ClockState.SYNCED, err_ms

    def reboot(self, *, keeps_time: bool) -> None:
        """Start a new boot; without a battery the wall clock says 1970 until it is told better."""
        self._booted_s = self.ticks.time()
        self.boot_id = self.entropy.token(16)
        self.state, self.err_ms = ClockState.UNSYNCED, 0
        if not keeps_time:
            self._rebase(0)

    def _wall(self) -> float:
        passed_s = self.ticks.time() - self._wall_since_s
        return self._wall_base_ms + passed_s * (1000 + self._drift_ppm / 1000)

    def _rebase(self, wall_ms: float) -> None:
        self._wall_base_ms, self._wall_since_s = wall_ms, self.ticks.time()


@dataclass
class World:
    """What a scenario gets: the loop, a clock, entropy, and a trace that two runs must share."""

    loop: SimLoop
    seed: int
    clock: VirtualClock
    entropy: SeededEntropy
    trace: list[tuple[float, str]] = field(default_factory=list)

    def note(self, *what: object) -> None:
        """Write down that something happened now."""
        self.trace.append((self.loop.time(), " ".join(map(repr, what))))

    def machine(self) -> VirtualClock:
        """Return the clock of one more machine: its own boot, its own drift."""
        return VirtualClock(self.loop, self.entropy)

    @property
    def digest(self) -> str:
        """Return what two runs of one seed have in common, and two seeds have not."""
        content = repr((self.trace, self.loop.turns, self.loop.time(), self.loop.random.random()))
        return hashlib.sha256(content.encode()).hexdigest()


def simulate(scenario: Callable[[World], Coroutine[Any, Any, T]], *, seed: int) -> T:
    """Run a scenario to its end on virtual time and return its value.

    A failure names the seed: `simulate(scenario, seed=SEED)` repeats it.

    Raises:
        DeadlockError: every task waits for something that cannot happen.
    """
    loop = SimLoop(seed)
    entropy = SeededEntropy(loop.random)
    world = World(loop, seed, VirtualClock(loop, entropy), entropy)
    try:
        with inline_aiosqlite():
            return loop.run_until_complete(scenario(world))
    except BaseException as error:
        error.add_note(f"simulated with seed {seed}, failed at {loop.time():.3f} virtual seconds")
        raise
    finally:
        _drain(loop)
        loop.close()


def _drain(loop: SimLoop) -> None:
    """Cancel what a scenario left running, so that nothing outlives its world."""
    with inline_aiosqlite():
        for task in sorted(asyncio.all_tasks(loop), key=hash):
            task.cancel()
        while left := asyncio.all_tasks(loop):
            loop.run_until_complete(asyncio.wait(left))
        loop.run_until_complete(loop.shutdown_asyncgens())
