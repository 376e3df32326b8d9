"""A real coordinator on a loopback port with TLS, and gateways made of nothing but `shared`.

Owns its life and a gateway that signs, chains, announces and checks answers as the protocol says,
so that a test can also break each of these. Leaves out talking HTTP (`rest_client`) and the agent
itself: what it does with devices has its own tests.
"""

import asyncio
import sqlite3
import ssl
import tomllib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg

from coordinator.app import serve
from coordinator.contract.fleet import ClaimFile
from coordinator.core.intake import block_digest
from coordinator.errands import found, make_claim
from coordinator.keys.directory import DataDirectory
from coordinator.listen import Listen
from coordinator.place import Place
from coordinator.services.claims import ClaimWish
from shared.block.codec import encode
from shared.block.schema import Schema
from shared.clock import Clock, ClockState, MonoMs, WallMs
from shared.ids import AgentId, BlockSeq, DeviceId, KeyId, StoreEpoch, key_id
from shared.model.reading import (
    Block,
    BootRef,
    Channel,
    Group,
    epoch_ref,
    schema_ref,
)
from shared.sync.body import Part, PartKind, decode_body, encode_body
from shared.sync.outgoing import Candidate, Frozen, freeze_report
from shared.trust.admission import Admitted, Held, admit_bundle, admit_reply
from shared.trust.counters import Counters
from shared.trust.documents import (
    ECHO_BYTES,
    ENROLL_TYP,
    Reply,
    Report,
    Root,
    document_hash,
)
from shared.trust.envelope import KeySigner, seal
from shared.trust.keyset import Trust, accept_catalog, accept_policy, advance_root, load_trust
from shared.wire.codec import pack, unpack
from shared.wire.messages import EnrollAnswer, EnrollRequest, LossRow, Receipt, Tally
from tests.postgres_parts import database
from tests.system.rest_client import Answered, Client

HOST = "127.0.0.1"
NOW_MS = 1_795_000_000_000
BOOT = bytes(range(16))
SCHEMA = Schema(
    (
        Channel(DeviceId("pump-1"), "current", "A"),
        Channel(DeviceId("pump-1"), "pressure", "bar"),
    )
)


@dataclass
class World(Client):
    """A coordinator that serves, and its admin's client."""

    place: Place

    async def claim(self, *, site: str = "north", count: int = 1) -> ClaimFile:
        wish = ClaimWish(site=site, count=count, expires_ms=WallMs(1 << 50), url="")
        return await make_claim(self.place, wish)

    async def gateway(self, name: str = "", *, site: str = "north", **labels: str) -> "Gateway":
        """Enrol a gateway of its own key."""
        claim = await self.claim(site=site)
        made = Gateway(self, KeySigner((name or site).encode().ljust(32, b".")), claim)
        answered = await made.enroll(name, labels)
        assert answered.status == 200, answered
        return made

    async def submit(self, *agents: str, **changes: object) -> Any:
        """Submit a job that reads a point."""
        answered = await self.post("/v1/jobs", job_body(*agents, **changes))
        assert answered.status == 202, answered
        return answered.json


@dataclass
class Gateway:
    """One agent as the coordinator meets it."""

    client: Client
    signer: KeySigner
    claim: ClaimFile
    name: AgentId = AgentId("")
    counter: int = 0
    previous: bytes = b""
    bundle_seq: int = 0
    next_block: int = 1
    telemetry_epoch: StoreEpoch = StoreEpoch(b"T" * 16)
    jobs_epoch: bytes = b"J" * 16
    tally: Tally = field(default_factory=lambda: Tally(0, 0, 0, 0, 0))

    answered: bytes = b""
    trust: Trust = field(init=False)

    def __post_init__(self) -> None:
        self.trust = load_trust(self.claim.root_bytes(), None, None)

    @property
    def root(self) -> Root:
        return self.trust.root

    @property
    def held(self) -> Held:
        counters = Counters(epoch=1, root_version=1, bundle_seq=self.bundle_seq)
        return Held(
            agent=self.name,
            agent_key=self.key,
            jobs_epoch=self.jobs_epoch,
            trust=self.trust,
            counters=counters,
            floor_ms=WallMs(0),
            silent_ms=0,
        )

    @property
    def key(self) -> KeyId:
        return key_id(self.signer.public_key)

    async def enroll(self, name: str = "", labels: Mapping[str, str] | None = None) -> Answered:
        answered = await self.client.send("/v1/enroll", self.enrolment(name, labels))
        if answered.status == 200:
            said = unpack(answered.body, EnrollAnswer, bound=100_000)
            assert said.fleet == self.root.fleet
            assert said.root == self.claim.root_bytes()
            self.name = AgentId(said.agent)
        return answered

    def enrolment(self, name: str = "", labels: Mapping[str, str] | None = None) -> bytes:
        request = EnrollRequest(
            bytes.fromhex(self.claim.secret), self.signer.public_key, name, dict(labels or {})
        )
        return seal(ENROLL_TYP, pack(request), [self.signer])

    def block(self, *values: float, seq: int | None = None, at_ms: int = NOW_MS) -> bytes:
        """A block with one reading a second of the first channel."""
        if seq is None:
            seq = self.next_block
            self.next_block += 1
        rows = len(values)
        group = Group(
            (0,), [at_ms + 1000 * row for row in range(rows)], [list(values)], [bytes(rows)]
        )
        return encode(
            Block(
                epoch=epoch_ref(self.telemetry_epoch),
                seq=BlockSeq(seq),
                priority=2,
                boot=BootRef(BOOT[:4]),
                mono_ms=MonoMs(1),
                wall_ms=WallMs(at_ms),
                clock_state=ClockState.SYNCED,
                err_ms=5,
                schema=schema_ref(SCHEMA.hash),
                groups=(group,),
            )
        )

    def report(
        self,
        *,
        blocks: Mapping[int, bytes] | None = None,
        receipts: Sequence[Receipt] = (),
        ledger: Sequence[LossRow] = (),
        **changes: Any,
    ) -> Frozen:
        """Freeze the next report; `blocks` are announced by number."""
        fields: dict[str, Any] = {
            "fleet": self.root.fleet,
            "agent": self.name,
            "boot_id": BOOT,
            "counter": self.counter + 1,
            "previous": self.previous,
            "telemetry_epoch": self.telemetry_epoch,
            "jobs_epoch": self.jobs_epoch,
            "bundle_seq": self.bundle_seq,
            "root_version": self.trust.root.version,
            "catalog_version": self.trust.catalog_version,
            "policy_version": self.trust.policy_version,
            "answered": self.answered,
            "floor_ms": NOW_MS,
            "wall_ms": NOW_MS,
            "mono_ms": 1,
            "clock_state": ClockState.SYNCED,
            "next_block": self.next_block,
            "tally": self.tally,
        }
        signer = changes.pop("signer", self.signer)
        return freeze_report(
            Report(**(fields | changes)),
            blocks=[
                Candidate(seq, 2, len(data), block_digest(data))
                for seq, data in (blocks or {}).items()
            ],
            receipts=receipts,
            ledger=ledger,
            signer=signer,
        )

    def answered_by(self, frozen: Frozen, answered: Answered) -> tuple[Reply, Admitted | None]:
        """Check an answer as an agent does, and move on to the next report."""
        assert answered.status == 200, answered
        parts = decode_body(answered.body, bound=1 << 20)
        for kind, data in parts_of(parts, PartKind.ROOT):
            assert kind is PartKind.ROOT
            self.trust = advance_root(self.trust, data)
        (sealed_reply,) = (data for _, data in parts_of(parts, PartKind.REPLY))
        reply = admit_reply(sealed_reply, self.held, report_hash=frozen.digest)
        for kind, data in parts_of(parts, PartKind.CATALOG, PartKind.POLICY):
            accept = accept_catalog if kind is PartKind.CATALOG else accept_policy
            self.trust = accept(self.trust, data, counters=None, earliest_ms=WallMs(0))
        admitted = None
        for _, data in parts_of(parts, PartKind.BUNDLE):
            admitted = admit_bundle(data, self.held)
            self.bundle_seq = admitted.seq
        self.answered = document_hash(sealed_reply)[:ECHO_BYTES]
        self.counter, self.previous = frozen.counter, frozen.digest
        return reply, admitted

    async def contact(
        self,
        *,
        blocks: Mapping[int, bytes] | None = None,
        schemas: Sequence[bytes] = (),
        vouched: Sequence[bytes] | None = None,
        wait: int = 0,
        **rest: Any,
    ) -> tuple[Reply, Admitted | None]:
        """One whole contact that carries every block it announces, and vouches for its schemas."""
        said = schemas if vouched is None else vouched
        hashes = [sha256(data).digest() for data in said]
        frozen = self.report(blocks=blocks, schemas=hashes, **rest)
        sent = body(frozen, *(blocks or {}).values(), schemas=schemas)
        return self.answered_by(frozen, await self.client.sync(sent, wait=wait))

    async def ordered(self, **options: Any) -> Admitted:
        """One whole contact whose answer must bring work."""
        _, admitted = await self.contact(**options)
        assert admitted is not None, "the answer brought no bundle"
        return admitted

    def receipt(
        self, number: int, execution: bytes, state: int, *, device: str = "", **rest: Any
    ) -> Receipt:
        fields = {"attempt": 1, "reason": 0, "wall_ms": NOW_MS, **rest}
        return Receipt(number=number, execution=execution, device=device, state=state, **fields)


def parts_of(parts: Sequence[Part], *kinds: PartKind) -> list[tuple[PartKind, bytes]]:
    """The parts of some kinds."""
    return [(part.kind, part.data) for part in parts if part.kind in kinds]


def body(report: Frozen | bytes, *blocks: bytes, schemas: Sequence[bytes] = ()) -> bytes:
    """A contact's body."""
    envelope = report if isinstance(report, bytes) else report.envelope
    return encode_body(
        [
            Part(PartKind.REPORT, envelope),
            *(Part(PartKind.SCHEMA, data) for data in schemas),
            *(Part(PartKind.BLOCK, data) for data in blocks),
        ]
    )


def job_body(*agents: str, **changes: object) -> dict[str, object]:
    """A job that reads a point, for some agents or for the whole site north."""
    targets = {"agents": list(agents)} if agents else {"selector": "site=north"}
    step = {"id": "look", "action": "device.read", "params": {"points": ["current"]}}
    return {"name": "look", "steps": [step], "targets": targets, **changes}


def trust(place: Place) -> ssl.SSLContext:
    """TLS that trusts this fleet's CA and nobody else."""
    return ssl.create_default_context(cafile=str(place.directory.authority))


@asynccontextmanager
async def client_of(place: Place, url: str) -> AsyncIterator[World]:
    """The admin's client of a coordinator that serves."""
    token = tomllib.loads(place.directory.admin.read_text())["token"]
    connector = aiohttp.TCPConnector(ssl=trust(place))
    async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as session:
        yield World(url, session, token, place)
        # A TLS connection closes in two turns of the loop; aiohttp does not wait for them.
        closing = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(closing.set_result, None)
        await closing


async def found_in(path: Path, *, postgres: str = "") -> Place:
    """Found a fleet for this host, its rows in a file or at a URL."""
    directory = DataDirectory(path / "data")
    place = Place(directory=directory, database=directory.database, postgres=postgres)
    await found(place, hosts=[HOST, "localhost"], url=f"https://{HOST}:1")
    return place


async def rows(place: Place, statement: str) -> list[tuple[Any, ...]]:
    """Ask the database behind a coordinator, or change it, past the coordinator."""
    if not place.postgres:
        with closing(sqlite3.connect(place.database)) as db, db:
            return db.execute(statement).fetchall()
    connection = await asyncpg.connect(place.postgres)
    try:
        return [tuple(row) for row in await connection.fetch(statement)]
    finally:
        await connection.close()


@asynccontextmanager
async def serving(place: Place, port: int = 0, *, clock: Clock | None = None) -> AsyncIterator[str]:
    """Serve in this process, with the system's clock or another; yields the URL."""
    url: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    listen = Listen(host=HOST, port=port)
    task = asyncio.create_task(serve(place, listen, ready=url.set_result, clock=clock))
    await asyncio.wait((task, url), return_when=asyncio.FIRST_COMPLETED)
    try:
        if task.done():
            task.result()
        yield url.result()
    finally:
        task.cancel()
        await asyncio.wait((task,))


@asynccontextmanager
async def open_world(
    path: Path, *, engine: str = "sqlite", clock: Clock | None = None
) -> AsyncIterator[World]:
    """Found, serve, connect."""
    async with AsyncExitStack() as stack:
        postgres = ""
        if engine == "postgres":
            # With its tables: that a fleet is founded in an empty one, whole processes show.
            postgres = await stack.enter_async_context(database())
        place = await found_in(path, postgres=postgres)
        url = await stack.enter_async_context(serving(place, clock=clock))
        yield await stack.enter_async_context(client_of(place, url))
