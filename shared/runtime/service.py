"""Services run until stopped; a supervisor starts them, restarts them, and tells how they are.

Owns start and stop order, restart with back-off, and what a signal does to a program. Leaves out
what a service does, and every decision that follows from its health.
"""

import asyncio
import contextlib
import logging
import signal
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from types import TracebackType
from typing import Any, Protocol, Self

from shared import limits
from shared.clock import Clock, Entropy, MonoMs
from shared.model.policy import full_jitter_ms
from shared.runtime.logs import Events

_log = Events(__name__)


class Service(Protocol):
    """A loop that works until it is cancelled; one that returns has nothing more to do."""

    @property
    def name(self) -> str:
        """Return what logs and health call it; unique within a supervisor."""

    async def run(self) -> None:
        """Work until cancelled; clean up in `finally`, a restart calls this again."""


class State(Enum):
    """What a service does now."""

    STOPPED = "stopped"
    RUNNING = "running"
    WAITING = "waiting"
    """It crashed and waits for its restart."""
    FINISHED = "finished"
    """It returned by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """How one service is."""

    state: State = State.STOPPED
    crashes: int = 0
    """Since the program started."""
    failures_in_row: int = 0
    """Since it last ran for `limits.RESTART_MAX_S`."""
    last_error: str = ""
    last_crash_mono_ms: MonoMs | None = None


class Supervisor:
    """Runs services in one task group: started in order, stopped in reverse order."""

    def __init__(self, services: Sequence[Service], *, clock: Clock, entropy: Entropy) -> None:
        self._services = {service.name: service for service in services}
        assert len(self._services) == len(services), "two services have the same name"
        self._clock, self._entropy = clock, entropy
        self._health = {name: Health() for name in self._services}
        self._tasks: list[asyncio.Task[None]] = []
        self._group: asyncio.Task[None] | None = None

    @property
    def health(self) -> dict[str, Health]:
        """Return each service's health by name, in start order."""
        return dict(self._health)

    async def start(self) -> None:
        """Start every service; harmless when they run already."""
        if self._group is None:
            started = asyncio.Event()
            self._group = asyncio.create_task(self._supervise(started), name="supervisor")
            await started.wait()

    async def stop(self) -> None:
        """Cancel the services, last started first, each ended before the next; idempotent."""
        assert asyncio.current_task() not in self._tasks, "a service cannot wait for its own end"
        group, self._group = self._group, None
        if group is None:
            return
        try:
            for task in reversed(self._tasks):
                task.cancel()
                await asyncio.wait((task,))
        finally:
            # Also when stop itself is cancelled: nothing keeps running behind its back.
            for task in self._tasks:
                task.cancel()
            await group

    async def wait(self) -> None:
        """Wait until every service finished by itself or `stop` was called."""
        if self._group is not None:
            await asyncio.wait((self._group,))

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    async def _supervise(self, started: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as group:
            self._tasks = [
                group.create_task(self._keep_running(service), name=name)
                for name, service in self._services.items()
            ]
            started.set()

    async def _keep_running(self, service: Service) -> None:
        """Run one service for ever; the one place where any exception is survived."""
        try:
            while True:
                since_ms = self._clock.mono_ms()
                self._enter(service.name, State.RUNNING)
                try:
                    await service.run()
                except Exception as error:  # a supervisor's whole purpose
                    delay_ms = self._count_crash(service.name, error, since_ms)
                    if _is_asked_to_stop():
                        # It failed in cleaning up, and that error took the cancellation's place.
                        raise asyncio.CancelledError from error
                    await asyncio.sleep(delay_ms / 1000)
                else:
                    self._enter(service.name, State.FINISHED)
                    return
        except asyncio.CancelledError:
            self._enter(service.name, State.STOPPED)
            raise

    def _count_crash(self, name: str, error: Exception, since_ms: MonoMs) -> int:
        """Record a crash and return how long to wait, in milliseconds."""
        now_ms, before = self._clock.mono_ms(), self._health[name]
        lasted = now_ms - since_ms >= limits.RESTART_MAX_S * 1000
        failures = 1 if lasted else before.failures_in_row + 1
        delay_ms = full_jitter_ms(
            failures,
            initial_s=limits.RESTART_INITIAL_S,
            max_s=limits.RESTART_MAX_S,
            fraction=self._entropy.fraction(),
        )
        self._health[name] = Health(
            state=State.WAITING,
            crashes=before.crashes + 1,
            failures_in_row=failures,
            last_error=f"{type(error).__name__}: {error}"[: limits.LOG_FIELD_CHARS],
            last_crash_mono_ms=now_ms,
        )
        _log.event(
            "service_crashed",
            level=logging.ERROR,
            error=error,
            service=name,
            failures_in_row=failures,
            restart_in_ms=delay_ms,
        )
        return delay_ms

    def _enter(self, name: str, state: State) -> None:
        self._health[name] = replace(self._health[name], state=state)


def _is_asked_to_stop() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def run_until_signal(main: Callable[[], Coroutine[Any, Any, int]]) -> int:
    """Run a program's coroutine; return its exit status, 0 when a signal ended it.

    The first SIGTERM or SIGINT cancels `main`, which closes what it opened; the second ends the
    process at once, as the system's default is.
    """
    return asyncio.run(_cancelled_by_signal(main))


async def _cancelled_by_signal(main: Callable[[], Coroutine[Any, Any, int]]) -> int:
    loop = asyncio.get_running_loop()
    task = loop.create_task(main(), name="main")
    asked: list[int] = []

    def ask(number: int) -> None:
        asked.append(number)
        for one in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(one)
            signal.signal(one, signal.SIG_DFL)
        _log.event("stopping", signal=signal.Signals(number).name)
        task.cancel()

    for one in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(one, ask, one)
    with contextlib.suppress(asyncio.CancelledError):
        return await task
    if not asked:
        raise asyncio.CancelledError  # somebody else's cancellation is not ours to swallow
    return 0
