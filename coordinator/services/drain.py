"""How a coordinator leaves: first it says so, then it goes on for a while, then it stops.

A load balancer sends requests to whoever is ready. One that is told to stop is not ready at once
and serves for some seconds more, so that nobody's request meets a closed port. Leaves out how
requests in work are ended (`coordinator.api.listen`) and who asks (`coordinator.api.fleet`).
"""

import asyncio
from collections.abc import Awaitable

from shared.runtime.logs import Events

_log = Events(__name__)


class Drain:
    """Whether this process is about to stop."""

    def __init__(self, seconds: int = 0) -> None:
        """Go on for so many seconds after the word to stop; 0: nobody has to be told."""
        self._seconds = seconds
        self.is_leaving = False

    async def around(self, work: Awaitable[None]) -> None:
        """Wait for `work`; when cancelled, tell, go on for a while, and be cancelled then."""
        try:
            await work
        except asyncio.CancelledError:
            self.is_leaving = True
            if self._seconds:
                _log.event("leaving", seconds=self._seconds)
                await asyncio.sleep(self._seconds)
            raise
