"""The devices of one site: simulated firmware behind a wire made of memory, with its own ledger.

What the devices noted is the truth that receipts are held against. Owns the wire and the ledger;
what stands on the wire is `firmware_sim`, what speaks into it is the agent's own arbiter.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from agent.buses.connection import Connection
from agent.buses.tcp import TcpBus
from agent.core.ports import BusSettings
from firmware_sim.clock import SimTime
from firmware_sim.device import Device
from firmware_sim.ledger import Ledger
from firmware_sim.modbus import tcp
from firmware_sim.models import find_model
from firmware_sim.station import Line, Station
from shared.clock import MonoMs, WallMs
from shared.errors import Reason, WorldError
from tests.simulation.world.ground import Ground
from tests.simulation.world.life import Process

_THINKS_S = 0.03
_SETPOINT = 100
_READ_INPUT = 4


@dataclass
class TrueTicks:
    """The time that devices live in: nobody steps it."""

    ground: Ground

    def wall_ms(self) -> WallMs:
        return self.ground.true_ms

    def mono_ms(self) -> MonoMs:
        return MonoMs(int(self.ground.now_s * 1000))


class Memory(Ledger):
    """What the devices did, in memory."""

    def __init__(self, ground: Ground, site: str) -> None:
        self._ground, self._site = ground, site
        self.written: list[tuple[int, int, float]] = []
        """Unit and value of each setpoint that was really set, and when, in order."""
        self.polls = 0
        self.polled_s = 0.0

    def start(self, device: Device) -> None:
        """Every device of this world is a pump."""

    def note(self, entry: Mapping[str, object]) -> None:
        """Take one entry."""
        unit, values = entry.get("unit"), entry.get("values")
        if entry.get("fc") == _READ_INPUT:
            self.polls += 1
            self.polled_s = self._ground.now_s
        if entry.get("applied") and entry.get("address") == _SETPOINT:
            assert isinstance(unit, int)
            assert isinstance(values, tuple)
            self.written.append((unit, values[0], self._ground.now_s))
            self._ground.note(self._site, "set", unit, values[0])
        if (fault := entry.get("fault")) is not None:
            self._ground.hit(f"device {fault}", self._site)


@dataclass
class Plant:
    """The devices of a site, through all lives of its agent."""

    ground: Ground
    site: str
    units: int
    ledger: Memory = field(init=False)
    station: Station = field(init=False)

    def __post_init__(self) -> None:
        time = SimTime(TrueTicks(self.ground))
        devices = [Device(find_model("pump"), unit=unit) for unit in range(1, self.units + 1)]
        self.ledger = Memory(self.ground, self.site)
        seed = self.ground.chance("plant", self.site).randrange(1 << 30)
        self.station = Station(Line.TCP, devices, ledger=self.ledger, time=time, seed=seed)

    def effects(self) -> Counter[tuple[int, int]]:
        """Return how often each value was set on each unit."""
        return Counter((unit, value) for unit, value, _ in self.ledger.written)

    def set_at(self, unit: int, value: int) -> list[float]:
        """Return when a value was set on a unit."""
        return [at_s for one, what, at_s in self.ledger.written if (one, what) == (unit, value)]


@dataclass
class _Wire(asyncio.Transport):
    """One connection to the devices' port."""

    plant: Plant
    process: Process
    connection: Connection
    decoder: tcp.Decoder = field(default_factory=tcp.Decoder)
    closing: bool = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self.process.dead:
            return
        for frame in self.decoder.feed(bytes(data)):
            assert isinstance(frame, tcp.Frame), "the agent's frames are sound"
            exchange = self.plant.station.hear(frame.unit, frame.pdu)
            after_s = _THINKS_S + exchange.delay_ms / 1000

            def answer(frame: tcp.Frame = frame, exchange: object = exchange) -> None:
                # What was sent is done, also for a process that is gone by now.
                reply = self.plant.station.finish(exchange)  # type: ignore[arg-type]  # as heard
                if reply is None or self.closing:
                    return
                whole = tcp.encode_frame(frame.transaction, frame.unit, reply.pdu)
                self.connection.data_received(whole if reply.noise is None else reply.noise)

            self.plant.ground.loop.call_later(after_s, answer)

    def is_closing(self) -> bool:
        return self.closing

    def abort(self) -> None:
        if not self.closing:
            self.closing = True
            self.plant.ground.loop.call_soon(self.connection.connection_lost, None)


class PlantBus(TcpBus):
    """The agent's own bus, on the plant's wire."""

    def __init__(self, settings: BusSettings, plant: Plant, process: Process) -> None:
        super().__init__(settings)
        self._plant, self._process = plant, process

    async def _open(self, connection: Connection) -> None:
        if self._process.dead:
            raise WorldError(Reason.BUS_DOWN, "the process is gone")
        connection.connection_made(_Wire(self._plant, self._process, connection))
