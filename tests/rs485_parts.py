"""An RS-485 line on virtual time: the agent's own arbiter over simulated slaves at a line's pace.

The far end is `firmware_sim`'s station and framing; only the terminal between them is made of
memory. Used by the simulation tests; the bench of the same name runs on a real pseudo-terminal.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from agent.buses.connection import Connection
from agent.buses.line import Line
from agent.core.ports import BusSettings
from firmware_sim.modbus import rtu
from firmware_sim.station import Station

BAUD = 9_600
CHARACTER_S = 11 / BAUD
"""Start, eight data bits, even parity, stop."""
SILENCE_S = 3.5 * CHARACTER_S


@dataclass
class SlaveWire(asyncio.Transport):
    """The cable: bytes take their time, and a slave keeps 3.5 characters before it answers."""

    loop: asyncio.AbstractEventLoop
    connection: Connection
    station: Station
    think_s: Callable[[int], float]
    heard: "Counter[int]"
    closing: bool = False
    decoder: rtu.Decoder = field(default_factory=rtu.Decoder)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        for frame in self.decoder.feed(bytes(data)):
            assert isinstance(frame, rtu.Frame), "the agent's frames are sound"
            self.heard[frame.unit] += 1
            begins_s = len(data) * CHARACTER_S + SILENCE_S + self.think_s(frame.unit)
            reply = self.station.finish(self.station.hear(frame.unit, frame.pdu))
            if reply is not None:
                answer = rtu.encode_frame(frame.unit, reply.pdu)
                self.loop.call_later(begins_s + len(answer) * CHARACTER_S, self.say, answer)

    def say(self, data: bytes) -> None:
        if not self.closing:
            self.connection.data_received(data)

    def is_closing(self) -> bool:
        return self.closing

    def abort(self) -> None:
        if not self.closing:
            self.closing = True
            self.loop.call_soon(self.connection.connection_lost, None)


class SlaveLine(Line):
    """The agent's arbiter of an RS-485 port on which a station's slaves are."""

    def __init__(
        self, settings: BusSettings, station: Station, think_s: Callable[[int], float]
    ) -> None:
        super().__init__(settings, seconds_per_byte=CHARACTER_S, silence_s=SILENCE_S)
        self._station, self._think_s = station, think_s
        self.heard = Counter[int]()
        """Requests on the line by unit, answered or not."""

    async def _open(self, connection: Connection) -> None:
        loop = asyncio.get_running_loop()
        wire = SlaveWire(loop, connection, self._station, self._think_s, self.heard)
        connection.connection_made(wire)
