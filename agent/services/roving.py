"""A link that looks for its coordinator on the local network once its URL is silent for long.

What is found is a candidate and no more: TLS is pinned to the fleet's CA under the URL's own host,
and whoever does not prove it is left after one exchange. Only sites that ask for it have one
(`[uplink] discover`). Leaves out the looking (`agent.services.discovery`).
"""

import logging
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final

from agent.core.uplink import Delivered, Fault, LinkFailed
from agent.services.contact_http import HttpLink
from agent.services.discovery import Candidate, endpoint_at
from agent.services.endpoint import Endpoint
from shared.clock import Clock, MonoMs
from shared.errors import MistakeError
from shared.runtime.logs import Events
from shared.sync.body import CONTENT_TYPE

SILENT_MS: Final = 900_000
"""So long nobody answers at the URL before anybody is looked for."""
LOOK_AGAIN_MS: Final = 3_600_000
"""Between two looks: each is multicast to everybody."""
_LOST: Final = {Fault.UNREACHABLE, Fault.SILENT, Fault.UNTRUSTED}

_log = Events(__name__)


class RovingLink:
    """The coordinator at its URL, or where the local network says it is."""

    def __init__(
        self,
        home: Endpoint,
        *,
        ca_pem: str,
        where: str,
        find: Callable[[], Awaitable[Sequence[Candidate]]],
        clock: Clock,
    ) -> None:
        """Begin at home.

        Args:
            home: the URL's endpoint.
            ca_pem: the fleet's CA.
            where: where both stand.
            find: asks the local network.
            clock: for how long nobody answered.

        Raises:
            MistakeError: `ca_pem` holds no certificate.
        """
        self._home, self._ca_pem, self._where = home, ca_pem, where
        self._find, self._clock = find, clock
        self._link = HttpLink(home, ca_pem=ca_pem, where=where)
        self._certificate: Path | None = None
        self._candidates: list[Candidate] = []
        self._away = False
        self._lost_ms: MonoMs | None = None
        self._looked_ms: MonoMs | None = None

    async def exchange(self, body: bytes, *, wait_s: int, keep: bool) -> Delivered | LinkFailed:
        """POST a contact's body; see `agent.services.contact.Link`."""
        path = f"/v1/sync?wait={wait_s}" if wait_s else "/v1/sync"
        return await self.post(path, body, content_type=CONTENT_TYPE, wait_s=wait_s, keep=keep)

    async def post(
        self, path: str, body: bytes, *, content_type: str, wait_s: int = 0, keep: bool = False
    ) -> Delivered | LinkFailed:
        """POST a body; return the body of a 200 answer, else what went wrong."""
        await self._choose()
        end = await self._link.post(path, body, content_type=content_type, wait_s=wait_s, keep=keep)
        if isinstance(end, LinkFailed) and end.fault in _LOST:
            if self._lost_ms is None:
                self._lost_ms = self._clock.mono_ms()
            if self._away:
                await self._go(None)
        elif isinstance(end, Delivered):
            self._lost_ms, self._candidates = None, []
        return end

    def beside(self) -> HttpLink:
        """Return another link to where the coordinator is now; see `HttpLink.beside`."""
        return self._link.beside()

    def present(self, certificate: Path) -> None:
        """Show this certificate from the next connection on, wherever that is."""
        self._certificate = certificate
        self._link.present(certificate)

    def abort(self) -> None:
        """Break off the exchange in flight; see `agent.services.contact.Link`."""
        self._link.abort()

    async def close(self) -> None:
        """Close the kept connection, and break off an exchange in flight."""
        await self._link.close()

    async def _choose(self) -> None:
        """Go where the next exchange is worth a try."""
        now_ms = self._clock.mono_ms()
        if self._away or self._lost_ms is None or now_ms - self._lost_ms < SILENT_MS:
            return
        if self._looked_ms is None or now_ms - self._looked_ms >= LOOK_AGAIN_MS:
            self._looked_ms = now_ms
            try:
                self._candidates = list(await self._find())
            except MistakeError as error:
                _log.event("discovery_failed", level=logging.WARNING, cause=str(error))
        if self._candidates:
            await self._go(self._candidates.pop(0))

    async def _go(self, candidate: Candidate | None) -> None:
        await self._link.close()
        endpoint = self._home
        if candidate is not None:
            endpoint = endpoint_at(endpoint, candidate, ca_pem=self._ca_pem, where=self._where)
            _log.event("candidate_tried", at=str(candidate))
        self._away = candidate is not None
        self._link = HttpLink(endpoint, ca_pem=self._ca_pem, where=self._where)
        if self._certificate is not None:
            self._link.present(self._certificate)
