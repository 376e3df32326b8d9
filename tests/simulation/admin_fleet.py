"""One hundred gateways for the admin's scenario: some are whole agents, the others are light.

The canary is made of real agents with their devices and lines, on virtual time; a light gateway
knows what it really did, takes what it is ordered and tells it at its next call. What people read
is asked of the same transactions that the REST handlers use.
"""

import asyncio
import contextlib
import io
import logging
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from pathlib import Path
from unittest import mock

from rich.console import Console

from agent.core.uplink import Delivered, LinkFailed
from coordinator.cli.rollouts_report import Report, report, show
from coordinator.cli.show import Screen
from coordinator.contract.job_spec import parse_submission
from coordinator.contract.jobs import ExecutionView
from coordinator.contract.rollouts import RolloutView
from coordinator.core.cohorts import Candidate, plan
from coordinator.core.ports import Tx
from coordinator.core.rollout_policy import Stage
from coordinator.services import retention
from coordinator.transactions.enroll import Claim, enroll, save_claim
from coordinator.transactions.issue import Order, issue
from coordinator.transactions.jobs import NEWEST, Wanted, list_executions
from coordinator.transactions.receipts import reconcile_receipts
from coordinator.transactions.rollouts_view import list_members, view_rollout
from coordinator.transactions.submit import Submission, draft_body, submit
from shared import limits
from shared.clock import WallMs
from shared.ids import AgentId, parse_uuid
from shared.model.job import ExecutionState, JobSpec
from shared.sync.body import PartKind, decode_body
from shared.wire.codec import unpack
from shared.wire.messages import EnrollRequest, Receipt
from tests.simulation.elsewhere import CentreOnPostgres
from tests.simulation.loop import World, simulate
from tests.simulation.world import centre, site
from tests.simulation.world.centre import Centre, Request
from tests.simulation.world.disk import Disks
from tests.simulation.world.ground import HOUR_S, Ground
from tests.simulation.world.line import Line
from tests.simulation.world.play import MEMORY
from tests.simulation.world.site import Site, machines

AGENTS = 100
CANARY = 6
RAISED, LOWERED, HOT_C = 1500, 900, 90
WIDTH = 80
"""Characters of a line of the report."""
_DAY_S = 24 * HOUR_S
_SELDOM_S = 6 * HOUR_S
"""Between two polls and two calls of a real agent: the days here are long, and nothing is read."""
_SEED = "one seed, one canary"
_EPOCH = b"J" * 16
_X = ExecutionState


def job(name: str) -> dict[str, object]:
    """Return what the admin submits: a setpoint for every pump, and how it is taken back."""
    return {
        "name": name,
        "targets": {"selector": "site"},
        "steps": [_write("raise", RAISED)],
        "post_check": {"condition": f"device.motor_temperature < {HOT_C}"},
        "compensation": {"steps": [_write("lower", LOWERED)]},
        "expires_in_s": 60 * _DAY_S,
        "rollout": {
            "stages": [
                {"name": "canary", "percentage": CANARY},
                {"name": "fleet", "percentage": 100},
            ],
            "seed": _SEED,
        },
        "gate": {
            "success_percentage": 80,
            "error_percentage": 10,
            "min_executed": 3,
            "error_action": "rollback",
            "reach_deadline": "P1D",
            "stragglers": "carry_forward",
        },
    }


def _write(name: str, value: int) -> dict[str, object]:
    return {"id": name, "action": "device.write", "params": {"setpoint": value}, "timeout_s": 30}


def canary() -> list[str]:
    """Return the names of the gateways that come first."""
    candidates = [Candidate(name, "", {}) for name in names()]
    stages = [Stage("canary", percentage=CANARY), Stage("fleet")]
    return sorted(one.agent for one in plan(candidates, stages, _SEED) if one.stage == 0)


def names() -> list[str]:
    """Return the names of all gateways."""
    return [f"a{number:02}" for number in range(AGENTS)]


@dataclass
class Light:
    """A gateway with one device: what it was ordered, and what it really did."""

    name: str
    off: bool = False
    did: list[int] = field(default_factory=list)
    ended: dict[bytes, ExecutionState] = field(default_factory=dict)
    told: list[Receipt] = field(default_factory=list)
    numbers: int = 0

    def obey(self, order: Order, now_ms: int) -> None:
        """Do what is ordered, and note what is to be told of it."""
        for grant in order.grants:
            if grant.execution not in self.ended:
                spec = unpack(grant.spec, JobSpec, bound=limits.SPEC_BYTES)
                self.did.append(spec.steps[0].params["setpoint"])  # type: ignore[arg-type]  # a number
                self._end(grant.execution, _X.SUCCEEDED, now_ms)
        for execution in order.cancels:
            if execution not in self.ended:
                self._end(execution, _X.CANCELED, now_ms)

    def _end(self, execution: bytes, state: ExecutionState, now_ms: int) -> None:
        self.ended[execution] = state
        self.numbers += 1
        self.told.append(Receipt(self.numbers, execution, "", state, 1, 0, now_ms))


@dataclass
class Severed(Line):
    """A line that goes down when it has brought an order, if it is to: nobody hears what came."""

    severs: bool = False

    async def carry(self, request: Request) -> Delivered | LinkFailed:
        """Carry as any line does, until then."""
        done = await super().carry(request)
        if isinstance(done, Delivered) and request.path == "/v1/sync":
            parts = decode_body(done.body, bound=len(done.body))
            if self.severs and any(part.kind is PartKind.BUNDLE for part in parts):
                self.state = "partition"
        return done


class AdminFleet:
    """The fleet, and what its admin does and sees."""

    def __init__(self, ground: Ground, engine: str) -> None:
        self.ground, self.disks = ground, Disks()
        made = Centre if engine == "sqlite" else CentreOnPostgres
        self.centre = made(ground, self.disks)
        self.real = {name: Site(ground, self.disks, name, self.centre) for name in canary()}
        self.lines = {name: Severed(ground, self.centre, name) for name in self.real}
        for name, one in self.real.items():
            one.line = self.lines[name]
        self.light = {name: Light(name) for name in names() if name not in self.real}

    async def begin(self) -> None:
        """Found the fleet and let everybody in; the real agents run."""
        await self.centre.found()
        self.centre.start()
        while self.centre.parts is None:
            await asyncio.sleep(1)
        for one in self.real.values():
            await one.enrol(await self.centre.claim())
            one.start()
        await self.centre.change(self._let_in)
        await self.hours(1)

    async def end(self) -> None:
        """Stop everything that runs."""
        for lives in (*self.real.values(), self.centre):
            await lives.stop()
            await lives.bury()

    def _let_in(self) -> Tx[None]:
        """Let the light gateways in, four to a site, all at once."""
        for number, name in enumerate(self.light):
            secret = name.encode()
            claim = Claim(
                claim_id=secret,
                secret_hash=sha256(secret).digest(),
                site=f"s{number // 4}",
                count=1,
                expires_ms=WallMs(1 << 50),
            )
            yield from save_claim(claim, actor="me", now_ms=self.now_ms)
            request = EnrollRequest(secret, secret.ljust(32, b"."), name)
            yield from enroll(request, now_ms=self.now_ms)

    @property
    def now_ms(self) -> WallMs:
        """The coordinator's time."""
        return self.centre.clock.wall_ms()

    async def submit(self, name: str) -> bytes:
        """Submit the job under a name; returns its id."""
        parts = self.centre.parts
        assert parts is not None, "the coordinator runs"
        policy = parts.documents.now.shelf.policy
        wanted = draft_body(parse_submission(job(name)), policy, self.now_ms)
        who = Submission(actor="user:zoe", token_id="t", now_ms=self.now_ms)
        made = await self.centre.change(partial(submit, wanted, who, self.ground.entropy(name)))
        return made.job

    async def hours(self, number: int) -> None:
        """Let time pass, in which light gateways call once."""
        await asyncio.sleep(number * HOUR_S)
        present, now_ms = [one for one in self.light.values() if not one.off], self.now_ms
        orders = await self.centre.change(partial(_called, present, now_ms))
        for one, order in zip(present, orders, strict=True):
            one.told = []
            if order is not None:
                one.obey(order, now_ms)

    async def days(self, number: int) -> None:
        """Let days pass; light gateways call twice a day."""
        for _ in range(number * 2):
            await self.hours(12)

    def heat(self, name: str, celsius: float) -> None:
        """Let the pump of a real gateway be so hot."""
        self.real[name].plant.station.set_value("motor_temperature", celsius)

    def go_off(self, light: int, *real: str) -> None:
        """Let so many light gateways, and some real ones, lose their lines."""
        for one in list(self.light.values())[:light]:
            one.off = True
        for name in real:
            self.lines[name].state = "partition"

    def return_(self) -> None:
        """Let everybody have a line that holds."""
        for one in self.light.values():
            one.off = False
        for line in self.lines.values():
            line.state, line.severs = "", False

    def did(self, name: str) -> list[int]:
        """Return which setpoints a gateway's device really got, in order."""
        if name in self.light:
            return self.light[name].did
        return [value for _, value, _ in self.real[name].plant.ledger.written]

    # --- what people read -------------------------------------------------------------------------
    async def view(self, job: bytes) -> RolloutView:
        """Return the rollout as it is now."""
        found = await self.centre.look(partial(view_rollout, job))
        assert found is not None, "it was submitted"
        return found

    async def report(self, job: bytes) -> Report:
        """Return what `outstation rollouts report` tells."""
        view = await self.view(job)
        listed = await self.centre.look(partial(list_members, job, after="", size=AGENTS))
        assert listed is not None, "it was submitted"
        undo = await self._executions(parse_uuid(view.undo, what="a job")) if view.undo else []
        return report(view, listed[0], await self._executions(job), undo)

    async def _executions(self, job: bytes) -> list[ExecutionView]:
        body = partial(list_executions, Wanted(job=job), before=NEWEST, size=AGENTS)
        return (await self.centre.look(body))[0]


def _called(present: Sequence[Light], now_ms: WallMs) -> Tx[list[Order | None]]:
    """Hear what gateways tell, in one transaction for all; return what each of them gets."""
    orders = []
    for one in present:
        agent = AgentId(one.name)
        yield from reconcile_receipts(agent, _EPOCH, one.told, now_ms=now_ms)
        orders.append((yield from issue(agent, now_ms=now_ms, again=False)))
    return orders


def printed(found: Report) -> str:
    """Return a report as a narrow terminal shows it."""
    screen = Screen(as_json=False)
    screen.console = Console(file=io.StringIO(), width=WIDTH, highlight=False)
    show(screen, found)
    return screen.console.file.getvalue()  # type: ignore[attr-defined]  # it is a StringIO


def live(engine: str, story: Callable[[AdminFleet], Awaitable[None]]) -> None:
    """Let a story happen to the fleet on one of the engines."""
    with _quiet(), tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:

        async def scenario(world: World) -> None:
            fleet = AdminFleet(Ground(world, Path(folder)), engine)
            with _seldom(), fleet.disks.in_force(), machines(), fleet.centre.in_force():
                await fleet.begin()
                try:
                    await story(fleet)
                finally:
                    await fleet.end()
            assert fleet.ground.wrongs == []

        simulate(scenario, seed=1)


@contextlib.contextmanager
def _seldom() -> Iterator[None]:
    """Let nobody look often for what nobody told him of: that would be most of these days."""
    with (
        mock.patch.multiple(site, POLL_S=_SELDOM_S, SYNC_S=_SELDOM_S),
        mock.patch.object(centre, "_LOOK_S", 3 * HOUR_S),
        mock.patch.object(retention, "ROUND_S", _SELDOM_S),
    ):
        yield


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)
