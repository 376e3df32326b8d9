"""The way to the coordinator over HTTPS, for an event loop: a thread per exchange.

Owns which connection is used and kept, TLS sessions across connections, and breaking off. The
standard library does it: aiohttp would cost the agent 12 MB for one request every few minutes,
and asyncio's TLS never resumes a session. Sockets stand in `agent.services.http_connection`.
"""

import asyncio
import contextlib
import ssl
import threading
from dataclasses import replace
from pathlib import Path

from agent.core.uplink import Delivered, Fault, LinkFailed
from agent.services.endpoint import Endpoint
from agent.services.http_connection import Connection, Request, Take, Traffic, tls_context
from shared.errors import MistakeError
from shared.sync.body import CONTENT_TYPE


class HttpLink:
    """One coordinator, one exchange at a time, a connection kept only when asked to."""

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        ca_pem: str,
        where: str,
        context: ssl.SSLContext | None = None,
        session: ssl.SSLSession | None = None,
    ) -> None:
        """Trust `ca_pem`, which stands in `where`; see `tls_context`.

        `context` and `session` are of a link to the same place, where there is one.
        """
        self._endpoint, self._session = endpoint, session
        if context is None and endpoint.tls:
            context = tls_context(ca_pem, where=where)
        self._context = context
        self._kept: Connection | None = None
        self._busy: Connection | None = None
        self._lost = Traffic()
        """Bytes of exchanges and goodbyes that nobody waited for; the next exchange counts them."""
        self.connections = 0
        """Opened since the start."""
        self.resumed = 0
        """Of these, with a TLS session of an earlier one."""

    async def exchange(self, body: bytes, *, wait_s: int, keep: bool) -> Delivered | LinkFailed:
        """POST a contact's body; see `agent.services.contact.Link`."""
        path = f"/v1/sync?wait={wait_s}" if wait_s else "/v1/sync"
        return await self.post(path, body, content_type=CONTENT_TYPE, wait_s=wait_s, keep=keep)

    async def post(
        self, path: str, body: bytes, *, content_type: str, wait_s: int = 0, keep: bool = False
    ) -> Delivered | LinkFailed:
        """POST a body; return the body of a 200 answer, else what went wrong."""
        return await self._ask(
            Request(self._endpoint.path + path, body, content_type, wait_s, keep)
        )

    async def _ask(self, request: Request) -> Delivered | LinkFailed:
        """Do one exchange, on the connection that was kept if it still answers."""
        kept, self._kept = self._kept, None
        if kept is not None:
            end = await self._on(kept, request)
            if not kept.stale:
                return self._counted(end)
            if kept.aborted:
                # Said again it would be held again, and nobody would break that off.
                aborted = LinkFailed(fault=Fault.ABORTED, up=end.up, down=end.down)
                return self._counted(aborted)
            self._forgo(end.up, end.down)
        self.connections += 1
        fresh = Connection(self._endpoint, self._context, self._session)
        end = await self._on(fresh, request)
        self.resumed += fresh.resumed
        return self._counted(end)

    async def get(self, path: str, fields: str, take: Take) -> Delivered | LinkFailed:
        """GET something whose body `take` reads in a thread of its own; the connection is kept."""
        request = Request(
            self._endpoint.path + path, b"", "", 0, keep=True, fields=fields, take=take
        )
        return await self._ask(request)

    def beside(self) -> "HttpLink":
        """Return another link to the same place with the same trust: for what is not a contact."""
        return HttpLink(
            self._endpoint, ca_pem="", where="", context=self._context, session=self._session
        )

    def _counted(self, end: Delivered | LinkFailed) -> Delivered | LinkFailed:
        """Return the end of an exchange with all bytes that were not counted before it."""
        lost, self._lost = self._lost, Traffic()
        return replace(end, up=end.up + lost.up, down=end.down + lost.down)

    def _forgo(self, up: int, down: int) -> None:
        self._lost.up += up
        self._lost.down += down

    def present(self, certificate: Path) -> None:
        """Show this certificate, with its key, from the next connection on.

        Raises:
            MistakeError: the file holds no such pair.
        """
        if self._context is None:
            return
        try:
            self._context.load_cert_chain(certificate)
        except (ssl.SSLError, OSError) as error:
            raise MistakeError(
                f"is no key with its certificate ({error})",
                where=str(certificate),
                mend="remove it: the coordinator gives another one",
            ) from error
        # A session, and a connection that is open, are known by what they began with.
        self._session, kept, self._kept = None, self._kept, None
        if kept is not None:
            kept.end()

    def abort(self) -> None:
        """Break off the exchange in flight; see `agent.services.contact.Link`."""
        if self._busy is not None:
            self._busy.abort()

    async def close(self) -> None:
        """Close the kept connection, and break off an exchange in flight."""
        self.abort()
        kept, self._kept = self._kept, None
        if kept is not None:
            last = kept.end()
            self._forgo(last.up, last.down)

    async def _on(self, connection: Connection, request: Request) -> Delivered | LinkFailed:
        """Do the exchange in a thread that nobody has to wait for."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Delivered | LinkFailed] = loop.create_future()

        def tell(end: Delivered | LinkFailed) -> None:
            if done.done():
                self._forgo(end.up, end.down)
            else:
                done.set_result(end)

        def work() -> None:
            end = connection.exchange(request)
            # The loop may be closed by now; then nobody waits.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(tell, end)

        self._busy = connection
        # A daemon: a name server that does not answer must not hold up the process's end.
        threading.Thread(target=work, name="contact", daemon=True).start()
        try:
            end = await done
        finally:
            self._busy = None
            if not done.done() or done.cancelled():
                connection.abort()
        self._session = connection.session
        if connection.usable:
            self._kept = connection
        else:
            # Open still if it was broken off between its thread's end and here.
            last = connection.end()
            self._forgo(last.up, last.down)
        return end
