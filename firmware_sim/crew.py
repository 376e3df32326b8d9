"""The tasks of one port or link: who started them ends them, and none fails unseen."""

import asyncio
from collections.abc import Callable, Coroutine


class Crew:
    """Tasks with a common end; belongs to the running loop."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Gets the first exception a task did not handle; awaiting it is waiting for trouble."""

    def __len__(self) -> int:
        """Return how many tasks run."""
        return len(self._tasks)

    def start(
        self,
        work: Coroutine[object, object, None],
        *,
        after: Callable[[], object] = lambda: None,
    ) -> asyncio.Task[None]:
        """Run a task; call `after` when it has ended, even if it was cancelled before it began."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        task.add_done_callback(lambda _: after())
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) and not self.failed.done():
            self.failed.set_exception(error)

    async def dismiss(self) -> None:
        """Cancel what still runs and wait for it; raise what a task failed with."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self.failed.done() and not self.failed.cancelled():
            self.failed.result()
        self.failed.cancel()
