"""A street of gateways on the loopback interface that share files; one coordinator counts bytes."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from io import BytesIO
from pathlib import Path

from agent.core.artifacts import Shut, Span, Wanted
from agent.core.uplink import Delivered, Fault, LinkFailed
from agent.services.artifacts import Artifacts
from agent.services.http_answer import Head, HttpError
from agent.services.http_connection import Take
from agent.services.lan import Network
from agent.services.neighbourhood import Household, Neighbourhood, Place
from agent.services.sharing import Sharing
from agent.store.artifacts import Shelf
from shared import limits
from shared.runtime.clock import SystemClock, SystemEntropy

DATA = random.Random(5).randbytes(400_000)
WANTED = Wanted(sha256(DATA).digest(), len(DATA))
FLEET = b"f" * 16
LOOPBACK = "127.0.0.1"
NETWORK = Network(f"{LOOPBACK}/8")
BOOT = b"b" * 16


@dataclass
class Centre:
    """The coordinator: `agent.services.artifacts.Source` of every gateway."""

    served: int = 0
    most: int = 1 << 16
    """Bytes of one answer before it breaks off."""
    stops_at: int = 1 << 40
    """Once so many bytes were served it holds back everything else."""
    hold: asyncio.Event = field(default_factory=asyncio.Event)
    """Set while it answers."""
    askers: set[str] = field(default_factory=set)


@dataclass
class Line:
    """One gateway's way to the coordinator."""

    centre: Centre
    name: str

    async def get(self, wanted: Wanted, span: Span, take: Take) -> Delivered | LinkFailed:
        await self.centre.hold.wait()
        data = DATA[span.start : min(span.end, span.start + self.centre.most)]
        self.centre.served += len(data)
        self.centre.askers.add(self.name)
        if self.centre.served >= self.centre.stops_at:
            self.centre.stops_at = 1 << 40
            self.centre.hold.clear()
        fields = {"content-range": f"bytes {span.start}-{span.end - 1}/{len(DATA)}"}
        head = Head(status=206, reason="", fields=fields, version=1)
        try:
            await asyncio.to_thread(take, head, BytesIO(data))
        except HttpError as error:
            return LinkFailed(fault=Fault.UNREACHABLE, detail=str(error), down=len(data))
        return Delivered(body=b"", up=0, down=len(data))

    async def close(self) -> None:
        pass


@dataclass
class Gate:
    """A line that is free, or not."""

    shut: Shut | None = None

    def allowed(self) -> int | Shut:
        return self.shut or limits.PIECE_BYTES

    async def charge(self, end: Delivered | LinkFailed) -> None:
        pass


@dataclass
class Street:
    """Who listens where; a `Beacon` is one gateway's view of it."""

    ports: dict[str, int] = field(default_factory=dict)
    calls: dict[str, Callable[[], None]] = field(default_factory=dict)


@dataclass
class Lamp:
    """`agent.services.sharing.Beacon` without a network."""

    street: Street
    name: str

    @property
    def places(self) -> Sequence[Place]:
        ports = self.street.ports.items()
        return [Place(LOOPBACK, port) for name, port in ports if name != self.name]

    async def light(
        self, networks: Sequence[Network], port: int, found: Callable[[], None]
    ) -> None:
        assert networks == (NETWORK,)
        self.street.ports[self.name], self.street.calls[self.name] = port, found
        for call in self.street.calls.values():
            call()

    async def douse(self) -> None:
        self.street.ports.pop(self.name, None)
        self.street.calls.pop(self.name, None)


@dataclass
class House:
    """One gateway."""

    name: str
    shelf: Shelf
    artifacts: Artifacts
    sharing: Sharing
    neighbourhood: Neighbourhood
    gate: Gate
    orders: dict[bytes, int]
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    async def obtain(self) -> Path:
        return await self.artifacts.obtain(WANTED.digest, WANTED.size)

    def start(self) -> None:
        services = (self.sharing, self.artifacts)
        self.tasks = [asyncio.create_task(one.run()) for one in services]

    async def stop(self) -> None:
        """End at once, as a kill does; what is on its disk stays."""
        for task in self.tasks:
            task.cancel()
        if self.tasks:
            await asyncio.wait(self.tasks)
        self.tasks = []

    async def holds(self, at_least: int) -> None:
        while await asyncio.to_thread(self.shelf.shown, WANTED) < at_least:
            await asyncio.sleep(0.001)


@asynccontextmanager
async def opened_street(
    folder: Path, *names: str, site: Mapping[str, str] | None = None
) -> AsyncIterator[tuple[Centre, dict[str, House]]]:
    """Give a coordinator and gateways with an order each; none runs yet."""
    centre, street, houses = Centre(), Street(), {}
    centre.hold.set()
    async with AsyncExitStack() as stack:
        for name in names:
            house = houses[name] = make_house(folder, name, centre, street, (site or {}).get(name))
            stack.push_async_callback(house.stop)
        yield centre, houses


def make_house(
    folder: Path, name: str, centre: Centre, street: Street, site: str | None = None
) -> House:
    clock, entropy = SystemClock(), SystemEntropy()
    shelf, gate, orders = Shelf(folder / name, BOOT), Gate(), {WANTED.digest: WANTED.size}
    household = Household(fleet=FLEET, site=site or "west", id=name, metered=False)
    sharing = Sharing(
        household,
        shelf,
        Lamp(street, name),
        networks=lambda: [NETWORK],
        clock=clock,
        entropy=entropy,
    )

    async def needed() -> dict[bytes, int]:
        return orders

    artifacts = Artifacts(
        shelf, Line(centre, name), gate, needed=needed, clock=clock, entropy=entropy
    )
    neighbourhood = Neighbourhood(household, sharing, clock=clock, entropy=entropy)
    artifacts.neighbours = neighbourhood
    sharing.says, sharing.found = artifacts.says, artifacts.wake
    return House(name, shelf, artifacts, sharing, neighbourhood, gate, orders)
