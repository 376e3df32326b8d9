"""A UDP port that a simulated device listens on.

Owns the socket and the tasks that answer. Leaves out what comes of a datagram: whoever derives from
this says so.
"""

import asyncio

from firmware_sim.address import Address, listen_datagrams
from firmware_sim.crew import Crew


class DatagramPort(asyncio.DatagramProtocol):
    """A port but for `datagram_received`."""

    def __init__(self) -> None:
        self.address = Address("", 0)
        """Where it listens."""
        self.crew = Crew()
        self._transport: asyncio.DatagramTransport | None = None

    @property
    def failed(self) -> asyncio.Future[None]:
        """Return a future that gets the exception that stops this port, if any."""
        return self.crew.failed

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
        await self.crew.dismiss()

    def send(self, data: bytes, addr: tuple[str, int]) -> None:
        """Send a datagram, while there is a socket."""
        if self._transport is not None:
            self._transport.sendto(data, addr)
