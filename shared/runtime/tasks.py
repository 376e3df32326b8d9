"""Awaiting work that must not be left in the middle, whoever loses patience meanwhile."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def to_the_end(work: Coroutine[Any, Any, T] | asyncio.Task[T]) -> T:
    """Await `work` to its end; a cancellation of the waiter takes effect only then.

    For changes on disk and in memory that belong together. The outcome of `work` is looked at
    even if the cancellation outranks it.
    """
    task = work if isinstance(work, asyncio.Task) else asyncio.create_task(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait((task,))
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled:
        if not task.cancelled():
            task.exception()
        raise cancelled
    return task.result()
