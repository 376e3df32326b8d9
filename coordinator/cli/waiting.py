"""Waiting for what the fleet does: woken by the event stream, by asking where there is none.

An event only says that it is time to look; what counts is the thing itself, so one event too many
or too few does no harm. While nobody answers (a coordinator that restarts, a link that is down) the
wait goes on. Leaves out what the end of a wait means (`jobs`, `rollouts`).
"""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

from coordinator.cli.approvals import agreed
from coordinator.cli.client import CallError, Client, Exit, segment
from coordinator.cli.show import Screen, count
from coordinator.contract.events import EVENT_STREAM_TYPE
from coordinator.contract.jobs import SETTLED, JobView
from shared import limits

T = TypeVar("T")

_HOLD_S: Final = limits.WAIT_S // 2
"""Without a stream: how long the coordinator may hold on to one answer."""
_AGAIN_S: Final = 1.0
"""Between two attempts to reach a coordinator that does not answer."""
_PACE_S: Final = 0.25
"""A busy job is looked at no oftener: nobody reads faster."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait(Generic[T]):
    """What is waited for."""

    job: str
    look: Callable[[int], T]
    """Return what is now; with seconds, hold on so long at most until something changed."""
    span_s: int
    first: T | None = None
    """What is known of it already: from then on nobody needs to answer at once."""


def looks(client: Client, screen: Screen, wait: Wait[T]) -> Iterator[T]:
    """Yield what is seen, at once and whenever it may be another, until the time is over.

    Raises:
        CallError: it is refused, or nobody answers and nothing was known of it.
    """
    yield wait.look(0) if wait.first is None else wait.first
    with closing(client.twin()) as ears:
        yield from _Patient(ears, screen, wait).looks()


@contextmanager
def leaving(sentence: str) -> Iterator[None]:
    """Let Ctrl-C end a wait with a sentence about what goes on without the person who waits."""
    try:
        yield
    except KeyboardInterrupt:
        raise CallError(sentence, Exit.INTERRUPTED) from None


def until_settled(
    client: Client, screen: Screen, job: str, span_s: int, first: JobView | None = None
) -> JobView:
    """Return a job that is over, showing meanwhile how far it is.

    Raises:
        CallError: TIMED_OUT or INTERRUPTED: it goes on; or it is refused.
    """
    look = _looking_at(client, job)
    with leaving(goes_on(job)):
        view = first
        wait = Wait(job=job, look=look, span_s=span_s, first=first)
        for view in looks(client, screen, wait):
            _show(screen, f"{view.name} {view.state}: {stands(view)}")
            if view.state in SETTLED:
                _show(screen, "")
                return view
    assert view is not None, "a wait begins with a look"
    raise CallError(
        f"the job is not done after {span_s} s: {stands(view)}; it goes on by itself",
        Exit.TIMED_OUT,
    )


def goes_on(job: str) -> str:
    """Return what is said to who waits for a job no longer."""
    return (
        f"you wait no longer; job {job} goes on: outstation jobs wait {job} waits for it again, "
        f"outstation jobs cancel {job} calls it off"
    )


def stands(job: JobView) -> str:
    """Return how far a job is."""
    if job.state == "PENDING_APPROVAL":
        return f"approved {agreed(job.agreement.needed, job.agreement.people)}"
    return count(job.counts)


@dataclass(slots=True)
class _Patient(Generic[T]):
    ears: Client
    """On a line of its own: a stream takes all of one."""
    screen: Screen
    wait: Wait[T]
    _ends_s: float = field(init=False)
    _refused: bool = False
    """There is no stream for us: this token may not listen, or the coordinator has none."""
    _alone: bool = False
    """Nobody answered the last time."""

    def __post_init__(self) -> None:
        self._ends_s = time.monotonic() + self.wait.span_s

    def looks(self) -> Iterator[T]:
        while self._left_s() > 0:
            for _ in self._signs():
                yield from self._look(0)
                time.sleep(min(_PACE_S, self._left_s()))
            # What happened while nothing was heard, and then whatever comes.
            yield from self._look(0)
            if self._left_s() > 0 and not self._alone:
                yield from self._look(min(_HOLD_S, math.ceil(self._left_s())))

    def _signs(self) -> Iterator[bytes]:
        """Yield whenever the stream says anything: its first words, an event, a sign of life."""
        if self._refused:
            return
        seconds = min(limits.EVENT_STREAM_S, math.ceil(self._left_s()))
        query = {"subject": f"job:{self.wait.job}", "seconds": seconds}
        try:
            headers = {"Accept": EVENT_STREAM_TYPE}
            yield from self.ears.stream("/v1/events/stream", query, headers=headers)
        except CallError as error:
            self._refused = not error.passing
        finally:
            self.ears.close()

    def _look(self, hold_s: int) -> Iterator[T]:
        try:
            found = self.wait.look(hold_s)
        except CallError as error:
            if not error.passing:
                raise
            if not self._alone:
                self.screen.warn(f"{error}; the wait goes on")
            self._alone = True
            time.sleep(min(_AGAIN_S, self._left_s()))
            return
        if self._alone:
            self.screen.warn("the coordinator answers again")
        self._alone = False
        yield found

    def _left_s(self) -> float:
        return max(0.0, self._ends_s - time.monotonic())


def _looking_at(client: Client, job: str) -> Callable[[int], JobView]:
    path = f"/v1/jobs/{segment(job)}"
    return lambda hold_s: client.get(path, JobView, wait_s=hold_s)


def _show(screen: Screen, line: str) -> None:
    if not screen.as_json:
        screen.progress(line)
