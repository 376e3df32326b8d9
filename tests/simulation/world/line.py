"""The line between an agent and the coordinator: everything that lines do, drawn from the seed.

Owns what becomes of one request and of its answer. Partitions last and are switched by `weather`;
everything else strikes single messages. Leaves out HTTP and TLS: a message here is a body.
"""

import asyncio
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from agent.core.uplink import Delivered, Fault, LinkFailed
from coordinator.api.problems import as_problem
from shared.errors import OutstationError, RefusedError, WorldError
from shared.model.job import JobSpec, Step
from shared.sync.body import Part, PartKind, decode_body, encode_body
from shared.trust.documents import BUNDLE_TYP, Bundle
from shared.trust.envelope import seal
from shared.wire.codec import pack
from shared.wire.messages import Grant
from tests.simulation.loop import START_WALL_MS
from tests.simulation.world.centre import Centre, Request
from tests.simulation.world.fleet import FLEET, signer_of
from tests.simulation.world.ground import Ground
from tests.simulation.world.life import GoneError, Process
from tests.simulation.world.wishes import FORGED

_PATIENCE_S = 60
"""How long an agent waits for an answer."""
_FAULTS: Mapping[int, Fault] = {
    401: Fault.DENIED,
    403: Fault.DENIED,
    409: Fault.CONFLICT,
    413: Fault.TOO_LARGE,
    429: Fault.BUSY,
    503: Fault.BUSY,
}
STRIKES = (
    "drop request",
    "drop answer",
    "delay",
    "duplicate",
    "reorder",
    "reset request",
    "reset answer",
    "alter answer",
    "old answer",
    "forge",
)
"""What may befall a single message."""
STATES = ("partition", "one way up", "one way down", "black hole")


@dataclass
class Line:
    """One agent's line, through all its lives."""

    ground: Ground
    centre: Centre
    name: str
    misfortune: float = 0.0
    """Share of messages that something befalls."""
    state: str = ""
    """``partition``, ``one way up``, ``one way down``, ``black hole``; empty: it carries."""
    late: list[asyncio.Task[None]] = field(default_factory=list)
    carried: int = 0
    chance: random.Random = field(init=False)
    _last_answer: bytes = b""

    def __post_init__(self) -> None:
        self.chance = self.ground.chance("line", self.name)

    def strike(self, path: str) -> str:
        """Return what befalls the next message."""
        if self.state in STATES:
            self.ground.hit(self.state, self.name)
            return self.state
        if self.chance.random() < self.misfortune:
            return self.chance.choice(STRIKES)
        return ""

    async def carry(self, request: Request) -> Delivered | LinkFailed:
        """Carry a request there and its answer back, or not."""
        self.carried += 1
        up, strike = len(request.body), self.strike(request.path)
        await asyncio.sleep(self.chance.uniform(0.02, 0.4))
        if strike == "partition":
            return LinkFailed(fault=Fault.UNREACHABLE, detail="no route")
        if strike in {"drop request", "one way down", "black hole"}:
            return await self._silence(strike, up)
        if strike == "reset request":
            self.ground.hit(strike, self.name)
            return LinkFailed(
                fault=Fault.UNREACHABLE, detail="reset", up=self.chance.randrange(up + 1)
            )
        if strike == "delay":
            self.ground.hit(strike, self.name)
            await asyncio.sleep(self.chance.uniform(1, _PATIENCE_S * 0.9))
        if strike == "reorder":
            # It arrives after messages that were sent later, when nobody waits for its answer.
            self._send_late(request)
            return await self._silence(strike, up)
        if strike == "duplicate":
            self.ground.hit(strike, self.name)
            self._send_late(request)
        return await self._and_back(request, strike)

    async def _and_back(self, request: Request, strike: str) -> Delivered | LinkFailed:
        up = len(request.body)
        try:
            answer = await self.centre.answer(request)
        except GoneError:
            return LinkFailed(fault=Fault.UNREACHABLE, detail="connection refused", up=up)
        except (RefusedError, WorldError) as error:
            return _problem(error, up)
        await asyncio.sleep(self.chance.uniform(0.02, 0.4))
        if strike in {"drop answer", "one way up"}:
            return await self._silence(strike, up)
        if strike == "reset answer":
            self.ground.hit(strike, self.name)
            down = self.chance.randrange(len(answer) + 1)
            return LinkFailed(fault=Fault.UNREACHABLE, detail="reset", up=up, down=down)
        before, self._last_answer = self._last_answer, answer
        if strike == "alter answer":
            self.ground.hit(strike, self.name)
            at = self.chance.randrange(len(answer))
            answer = answer[:at] + bytes([answer[at] ^ 1 << self.chance.randrange(8)])
            answer += self._last_answer[at + 1 :]
        if strike == "forge" and request.path == "/v1/sync":
            self.ground.hit(strike, self.name)
            answer = forged(answer, self.name, self.carried)
        if strike == "old answer" and before:
            self.ground.hit(strike, self.name)
            answer = before
        return Delivered(body=answer, up=up, down=len(answer))

    async def _silence(self, strike: str, up: int) -> LinkFailed:
        if strike not in STATES:
            self.ground.hit(strike, self.name)
        await asyncio.sleep(_PATIENCE_S)
        return LinkFailed(fault=Fault.SILENT, detail=strike, up=up)

    def _send_late(self, request: Request) -> None:
        after_s = self.chance.choice([0.01, 0.5, 30, 600, 7200])

        async def send() -> None:
            await asyncio.sleep(after_s)
            try:
                await self.centre.answer(request)
            except (GoneError, OutstationError) as error:
                self.ground.note(self.name, "late", type(error).__name__)

        self.late = [one for one in self.late if not one.done()]
        self.late.append(asyncio.create_task(send(), name=f"late {self.carried}"))


def forged(answer: bytes, agent: str, number: int) -> bytes:
    """Return an answer with an order that the director's key did not sign."""
    step = Step("a", "device.write", {"setpoint": FORGED})
    uid = number.to_bytes(16)
    bundle = Bundle(
        fleet=FLEET,
        agent=agent,
        agent_key=bytes(16),
        jobs_epoch=bytes(16),
        epoch=1,
        root_version=1,
        catalog_version=1,
        policy_version=1,
        restore_epoch=0,
        seq=1_000_000 + number,
        issued_ms=START_WALL_MS,
        not_before_ms=START_WALL_MS,
        expires_ms=START_WALL_MS + 10**10,
        stale_s=10**6,
        grants=[Grant(uid, pack(JobSpec("x", [step])), START_WALL_MS + 10**10, "operate")],
    )
    parts = decode_body(answer, bound=len(answer))
    kept = [part for part in parts if part.kind is not PartKind.BUNDLE]
    order = seal(BUNDLE_TYP, pack(bundle), [signer_of("mallory")])
    return encode_body([*kept, Part(PartKind.BUNDLE, order)])


@dataclass
class Phone:
    """One process's end of a line: `agent.services.contact.Link` and `membership.Door`."""

    line: Line
    process: Process
    _busy: asyncio.Task[Delivered | LinkFailed] | None = None

    async def exchange(self, body: bytes, *, wait_s: int, keep: bool) -> Delivered | LinkFailed:
        return await self._carry(Request("/v1/sync", body, wait_s))

    async def post(
        self, path: str, body: bytes, *, content_type: str, wait_s: int = 0, keep: bool = False
    ) -> Delivered | LinkFailed:
        return await self._carry(Request(path, body, wait_s))

    def present(self, certificate: Path) -> None:
        """Nothing here asks for one."""

    def abort(self) -> None:
        """Break off what is in flight."""
        if self._busy is not None:
            self._busy.cancel()

    async def close(self) -> None:
        """Break off what is in flight."""
        self.abort()

    async def _carry(self, request: Request) -> Delivered | LinkFailed:
        if self.process.dead:
            return LinkFailed(fault=Fault.UNREACHABLE, detail="the process is gone")
        self._busy = asyncio.create_task(self.line.carry(request), name="carry")
        try:
            await asyncio.wait((self._busy,))
            if self.process.died.is_set():
                return LinkFailed(fault=Fault.UNREACHABLE, detail="the process is gone")
            if self._busy.cancelled():
                return LinkFailed(fault=Fault.ABORTED)
            return self._busy.result()
        finally:
            self._busy.cancel()
            self._busy = None


def _problem(error: OutstationError, up: int) -> LinkFailed:
    """Return what an agent makes of a problem's status, as its HTTP client does."""
    problem = as_problem(error).kind
    fault = _FAULTS.get(problem.status, Fault.REFUSED)
    return LinkFailed(fault=fault, detail=f"{problem.status} {problem.name}", up=up)
