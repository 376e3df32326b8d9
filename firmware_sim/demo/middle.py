"""The attacker in the middle of a link: ends TLS with a stolen fleet CA and sees every byte.

Owns the man in the middle as an HTTPS server; what he makes of the bytes stands in `forge`.
Between his tricks he forwards faithfully, so that the site behind him works as ever.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import aiohttp
from aiohttp import web

from firmware_sim.demo import forge
from shared import limits
from shared.sync.body import CONTENT_TYPE, PartKind
from shared.trust.envelope import KeySigner


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request of an agent and the coordinator's answer, as they passed by."""

    request: bytes
    status: int
    answer: bytes


Trick = Callable[["Middle", str, bytes], Awaitable[Exchange]]
"""Handles one contact in the attacker's way; gets the path with its query and the body."""


@dataclass(slots=True)
class Captured:
    """Genuine documents that passed by, oldest first."""

    requests: list[bytes] = field(default_factory=list)
    replies: list[bytes] = field(default_factory=list)
    bundles: list[bytes] = field(default_factory=list)


class Middle:
    """A man in the middle for one site."""

    def __init__(
        self,
        site: str,
        upstream: str,
        *,
        server: ssl.SSLContext,
        client: ssl.SSLContext,
        seed: bytes,
    ) -> None:
        """Stand between a site and `upstream`; `seed` makes the attacker's own signing key."""
        self.site = site
        self.captured = Captured()
        self.key = KeySigner(seed)
        self.tricks: deque[Trick] = deque()
        self.port = 0
        self._upstream = upstream
        self._server_tls = server
        self._client_tls = client
        self._runner: web.AppRunner | None = None
        self._session: aiohttp.ClientSession | None = None
        self._played = asyncio.Event()

    async def start(self) -> None:
        """Listen on a free port of the loopback interface."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=self._client_tls),
            timeout=aiohttp.ClientTimeout(total=limits.WAIT_S + 30),
        )
        application = web.Application(client_max_size=limits.BODY_BYTES_UP)
        application.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=self._server_tls)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Close both sides; idempotent."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def play(self, *tricks: Trick) -> None:
        """Apply each trick to one of the coming contacts, in order, and wait until all were."""
        self.tricks.extend(tricks)
        while self.tricks:
            self._played.clear()
            await self._played.wait()

    async def send(self, body: bytes, path: str = "/v1/sync") -> Exchange:
        """Send a body of the attacker's own to the coordinator."""
        return await self._forward("POST", path, body, {"Content-Type": CONTENT_TYPE})

    async def pass_on(self, path: str, body: bytes) -> Exchange:
        """Forward a contact faithfully, and keep a copy of what passed."""
        exchange = await self.send(body, path)
        if exchange.status == web.HTTPOk.status_code:
            self.captured.requests.append(body)
            if (reply := forge.part(exchange.answer, PartKind.REPLY)) is not None:
                self.captured.replies.append(reply)
            if (bundle := forge.part(exchange.answer, PartKind.BUNDLE)) is not None:
                self.captured.bundles.append(bundle)
        return exchange

    async def _handle(self, request: web.Request) -> web.Response:
        body = await request.read()
        path = request.path_qs
        if request.path != "/v1/sync":
            kind = request.headers.get("Content-Type", CONTENT_TYPE)
            exchange = await self._forward(request.method, path, body, {"Content-Type": kind})
        elif self.tricks:
            exchange = await self.tricks[0](self, path, body)
            self.tricks.popleft()
            self._played.set()
        else:
            exchange = await self.pass_on(path, body)
        return web.Response(status=exchange.status, body=exchange.answer, content_type=CONTENT_TYPE)

    async def _forward(
        self, method: str, path: str, body: bytes, headers: dict[str, str]
    ) -> Exchange:
        assert self._session is not None, "start() comes first"
        try:
            async with self._session.request(
                method, self._upstream + path, data=body, headers=headers
            ) as response:
                return Exchange(body, response.status, await response.read())
        except aiohttp.ClientError:
            return Exchange(body, web.HTTPBadGateway.status_code, b"")
