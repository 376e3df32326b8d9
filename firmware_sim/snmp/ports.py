"""The UDP port of a device that answers SNMP.

Owns the socket and waiting. Leaves out every decision (`agent`).
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from firmware_sim.address import Address, listen_datagrams
from firmware_sim.crew import Crew
from firmware_sim.snmp.agent import Agent
from shared import limits


class SnmpPort(asyncio.DatagramProtocol):
    """An agent on one UDP port."""

    def __init__(self, agent: Agent) -> None:
        self.agent = agent
        self.address = Address("", 0)
        """Where it listens."""
        self._crew = Crew()
        self._transport: asyncio.DatagramTransport | None = None

    @property
    def failed(self) -> asyncio.Future[None]:
        """Return a future that gets the exception that stops this port, if any."""
        return self._crew.failed

    async def open(self, address: Address) -> None:
        """Start to listen; see `firmware_sim.address.listen` for what can go wrong."""
        self._transport = await listen_datagrams(lambda: self, address)
        name = self._transport.get_extra_info("sockname")
        self.address = Address(name[0], name[1])

    async def close(self) -> None:
        """Stop listening."""
        if self._transport is not None:
            self._transport.close()
            # The socket is closed by the loop's next turn.
            await asyncio.sleep(0)
        await self._crew.dismiss()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Take a request."""
        if len(self._crew) >= limits.SIM_CONNECTIONS:
            return
        answer, verdict = self.agent.answer(data)
        self._crew.start(self._send(answer, addr, verdict.delay_ms / 1000))

    async def _send(self, answer: bytes, addr: tuple[str, int], delay_s: float) -> None:
        if delay_s:
            await asyncio.sleep(delay_s)
        if answer and self._transport is not None:
            self._transport.sendto(answer, addr)


@asynccontextmanager
async def serve_snmp(
    agent: Agent, host: str = "127.0.0.1", port: int = 0
) -> AsyncIterator[SnmpPort]:
    """Serve a device over SNMP; `SnmpPort.address` says where when `port` is 0.

    Raises:
        MistakeError, WorldError: it cannot listen there.
    """
    served = SnmpPort(agent)
    try:
        await served.open(Address(host, port))
        yield served
    finally:
        await served.close()
