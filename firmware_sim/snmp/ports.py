"""The UDP port of a device that answers SNMP.

Owns the socket and waiting. Leaves out every decision (`agent`).
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from firmware_sim.address import Address
from firmware_sim.datagrams import DatagramPort
from firmware_sim.snmp.agent import Agent
from shared import limits


class SnmpPort(DatagramPort):
    """An agent on one UDP port."""

    def __init__(self, agent: Agent) -> None:
        super().__init__()
        self.agent = agent

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Take a request."""
        if len(self.crew) >= limits.SIM_CONNECTIONS:
            return
        answer, verdict = self.agent.answer(data)
        self.crew.start(self._send(answer, addr, verdict.delay_ms / 1000))

    async def _send(self, answer: bytes, addr: tuple[str, int], delay_s: float) -> None:
        if delay_s:
            await asyncio.sleep(delay_s)
        if answer:
            self.send(answer, addr)


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
