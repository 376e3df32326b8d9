"""The TCP port of a device that speaks HTTP.

Owns connections, waiting and what faults do to an answer's bytes. Leaves out every decision
(`relay`) and framing (`messages`).
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from firmware_sim.address import Address, bound_address, listen
from firmware_sim.bench import spoilt
from firmware_sim.crew import Crew
from firmware_sim.faults import FaultKind
from firmware_sim.http_json.messages import Decoder, Malformed, Request
from firmware_sim.http_json.relay import Relay
from shared import limits

_READ_BYTES = 4096


class HttpPort:
    """A small HTTP server."""

    def __init__(self, relay: Relay, *, chunked: bool = False, keeps: bool = True) -> None:
        self.relay = relay
        self.address = Address("", 0)
        """Where it listens."""
        self.connections = 0
        """Accepted so far."""
        self._chunked, self._keeps = chunked, keeps
        self._crew = Crew()

    @property
    def failed(self) -> asyncio.Future[None]:
        """Return a future that gets the exception that stops this port, if any."""
        return self._crew.failed

    async def open(self, address: Address) -> asyncio.Server:
        """Start to listen; see `firmware_sim.address.listen` for what can go wrong."""
        server = await listen(self._connected, address)
        self.address = bound_address(server)
        return server

    async def close(self, server: asyncio.Server) -> None:
        """Stop listening and drop every client."""
        server.close()
        await self._crew.dismiss()

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        if len(self._crew) >= limits.SIM_CONNECTIONS:
            writer.transport.abort()
        else:
            self._crew.start(self._talk(reader, writer), after=writer.close)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        decoder = Decoder()
        try:
            while data := await reader.read(_READ_BYTES):
                for item in decoder.feed(data):
                    if isinstance(item, Malformed):
                        self.relay.bench.hear_malformed(item.size)
                        return
                    if not await self._answer(item, writer):
                        return
        except ConnectionError:
            return

    async def _answer(self, request: Request, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; return whether the connection stays open."""
        response, verdict = self.relay.answer(request)
        if verdict.delay_ms:
            await asyncio.sleep(verdict.delay_ms / 1000.0)
        keeps = self._keeps and request.keeps
        writer.write(spoilt(response.encode(chunked=self._chunked, keeps=keeps), verdict))
        await writer.drain()
        return keeps and verdict.kind is not FaultKind.CUT


@asynccontextmanager
async def serve_http(
    relay: Relay,
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    chunked: bool = False,
    keeps: bool = True,
) -> AsyncIterator[HttpPort]:
    """Serve a relay over HTTP; `HttpPort.address` says where when `port` is 0.

    Raises:
        MistakeError, WorldError: it cannot listen there.
    """
    served = HttpPort(relay, chunked=chunked, keeps=keeps)
    server = await served.open(Address(host, port))
    try:
        yield served
    finally:
        await served.close(server)
