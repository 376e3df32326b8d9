"""A coordinator and an agent's contact side inside this process, on real TLS sockets.

Owns the composition of the product's own parts: `coordinator.app.serve` on one side; on the other
the readings' store, jobs.db, `Contact`, `HttpLink` and the decisions of `agent.core.uplink`, on a
clock that moves only when the bench says so. Leaves out buses, devices and the agent's services:
whoever uses this records the rows. The coordinator has a name instead of an address, as in the
field: TLS and HTTP then carry it.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from agent.core.sampler import ChannelTable, PollGroup
from agent.core.settings import TelemetrySettings
from agent.core.uplink import Delivered, LinkFailed
from agent.services.calendar import Calendar
from agent.services.contact import Contact
from agent.services.contact_http import HttpLink
from agent.services.endpoint import parse_url
from agent.services.enroll import enroll, load_claim, prepare
from agent.services.guard import Guard
from agent.services.identity import Enrolment
from agent.store.contact import ContactStore
from agent.store.jobs import JobStore
from agent.store.jobs_file import JobsFile, begin_counters
from agent.store.telemetry import TelemetryStore
from coordinator.app import serve
from coordinator.errands import found, make_claim
from coordinator.keys.directory import DataDirectory
from coordinator.listen import Listen
from coordinator.place import Place
from coordinator.services.claims import ClaimWish
from shared import limits
from shared.block.schema import Schema
from shared.clock import Clock, ClockState, Instant, MonoMs, WallMs
from shared.ids import DeviceId
from shared.model.reading import Channel
from shared.runtime.clock import SystemClock, SystemEntropy
from shared.sync.body import PartKind, decode_body
from shared.trust.counters import Counters
from shared.trust.envelope import KeySigner

HOST = "localhost"
BUS, DEVICE = "bus-1", DeviceId("device-1")


class BenchClock:
    """`shared.clock.Clock` that stands still until it is moved."""

    def __init__(self, wall_ms: int) -> None:
        self._began_ms = wall_ms
        self._boot_id = SystemEntropy().token(16)
        self.passed_ms = 0

    def wall_ms(self) -> WallMs:
        return WallMs(self._began_ms + self.passed_ms)

    def mono_ms(self) -> MonoMs:
        return MonoMs(1_000_000 + self.passed_ms)

    def now(self) -> Instant:
        return Instant(
            wall_ms=self.wall_ms(),
            mono_ms=self.mono_ms(),
            boot_id=self._boot_id,
            state=ClockState.SYNCED,
            err_ms=1,
        )


@dataclass(frozen=True, slots=True)
class Centre:
    """A coordinator that serves, and a gateway's way in."""

    place: Place
    port: int

    async def enrol(self, data_dir: Path, *, port: int) -> tuple[Enrolment, KeySigner]:
        """Let one gateway in, which calls at `port`."""
        url = f"https://{HOST}:{port}"
        expires_ms = WallMs(SystemClock().wall_ms() + 3_600_000)
        wish = ClaimWish(site="north", count=1, expires_ms=expires_ms, url=url)
        file = data_dir.with_suffix(".claim")
        file.write_bytes(msgspec.json.encode(await make_claim(self.place, wish)))
        signer = prepare(data_dir, SystemEntropy())
        claim = load_claim(file, now_ms=SystemClock().wall_ms())
        enrolment = await enroll(claim, signer, url=url, name="outpost-1", labels={})
        assert isinstance(enrolment, Enrolment), enrolment
        begin_counters(data_dir, Counters(epoch=1, root_version=1))
        return enrolment, signer


@asynccontextmanager
async def open_centre(folder: Path, clock: Clock | None = None) -> AsyncIterator[Centre]:
    """Found a fleet and run its coordinator on a free port, with the agent's virtual clock."""
    place = Place(directory=DataDirectory(folder), database=folder / "coordinator.db")
    await found(place, hosts=[HOST], url=f"https://{HOST}")
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(
        serve(place, Listen(host="127.0.0.1", port=0), ready=ready.set_result, clock=clock)
    )
    await asyncio.wait((ready, task), return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        task.result()
    port = urlsplit(ready.result()).port
    assert port
    try:
        yield Centre(place, port)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


class RecordingLink(HttpLink):
    """The product's link, which remembers the bodies of the newest exchange."""

    sent = b""
    got = b""
    block_bytes = 0
    """Of all blocks that were sent."""

    async def exchange(self, body: bytes, *, wait_s: int, keep: bool) -> Delivered | LinkFailed:
        end = await super().exchange(body, wait_s=wait_s, keep=keep)
        assert isinstance(end, Delivered), end
        self.sent, self.got = body, end.body
        parts = decode_body(body, bound=limits.BODY_BYTES_UP)
        self.block_bytes += sum(len(part.data) for part in parts if part.kind is PartKind.BLOCK)
        return end

    def forget_session(self) -> None:
        """Let the next connection begin with a full handshake."""
        self._session = None

    def show_certificate(self, pem: Path) -> None:
        """Prove who we are to a server that asks for a certificate, from now on."""
        assert self._context is not None
        self._context.load_cert_chain(pem)
        self.forget_session()


@dataclass(frozen=True, slots=True)
class Outpost:
    """An enrolled agent's stores and its way to the coordinator."""

    clock: BenchClock
    telemetry: TelemetryStore
    contact: Contact
    link: RecordingLink
    signer: KeySigner
    enrolment: Enrolment


def one_device(channels: Sequence[Channel], interval_ms: int) -> ChannelTable:
    """Return the table of an agent with one device, whose points are read together."""
    group = PollGroup(
        device=DEVICE,
        bus=BUS,
        points=tuple(channel.point for channel in channels),
        channels=tuple(range(len(channels))),
        interval_ms=interval_ms,
    )
    return ChannelTable(Schema(tuple(channels)), (group,) if channels else ())


@asynccontextmanager
async def open_outpost(
    folder: Path, centre: Centre, *, clock: BenchClock, table: ChannelTable, port: int
) -> AsyncIterator[Outpost]:
    """Enrol a gateway and open everything that it needs for contacts at `port`."""
    data_dir = folder / "agent"
    enrolment, signer = await centre.enrol(data_dir, port=port)
    entropy = SystemEntropy()
    async with AsyncExitStack() as stack:
        telemetry = await TelemetryStore.open(
            data_dir, folder / "run", table, TelemetrySettings(), clock=clock, entropy=entropy
        )
        stack.push_async_callback(telemetry.close)
        file = await JobsFile(data_dir, entropy).open()
        stack.push_async_callback(file.close)
        link = RecordingLink(
            parse_url(enrolment.url, where=""), ca_pem=enrolment.ca_pem, where="the claim"
        )
        stack.push_async_callback(link.close)
        identity, calendar, store = enrolment.identity(signer), Calendar(clock), ContactStore(file)
        contact = Contact(
            guard=Guard(identity, store, clock=clock, calendar=calendar),
            store=store,
            jobs=JobStore(file),
            telemetry=telemetry,
            link=link,
            plan=_no_jobs,
            clock=clock,
            calendar=calendar,
        )
        yield Outpost(clock, telemetry, contact, link, signer, enrolment)


def _no_jobs(spec: object) -> tuple[DeviceId, ...]:
    raise AssertionError("nobody gave work")
