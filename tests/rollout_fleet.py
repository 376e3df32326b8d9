"""Agents of a real store and one rollout over them, for tests of every kind."""

from functools import partial
from hashlib import sha256

from coordinator.contract.job_spec import parse_submission
from coordinator.core.derived import execution_of
from coordinator.core.ports import fetch
from coordinator.transactions.dispatch import Bench, due, step
from coordinator.transactions.enroll import Claim, enroll, save_claim
from coordinator.transactions.issue import issue
from coordinator.transactions.receipts import reconcile_receipts
from coordinator.transactions.rollouts_steer import Asked, steer
from coordinator.transactions.rollouts_view import view_rollout
from coordinator.transactions.submit import Submission, draft_body, submit
from shared.clock import WallMs
from shared.ids import AgentId, JobId
from shared.model.job import ExecutionState, Value
from shared.model.selector import parse_selector
from shared.runtime.clock import SystemEntropy
from shared.trust.starter import first_policy
from shared.wire.messages import EnrollRequest, Receipt
from tests.stores import AnyStore

NOW = 1_795_000_000_000


ENTROPY = SystemEntropy()


POLICY = first_policy(fleet=bytes(16), issued_ms=0, expires_ms=1 << 50)


DAY_MS = 86_400_000


EPOCH = b"J" * 16


READ = {"id": "look", "action": "device.read", "params": {"points": ["p"]}}


CANARY = [
    {"name": "canary", "percentage": 10, "min_targets": 2},
    {"name": "fleet", "percentage": 100},
]


STRICT = {"success_percentage": 95, "error_percentage": 5, "min_executed": 2}


class Fleet:
    """Agents named a00, a01, ..., two to a site, and one rollout over them."""

    def __init__(self, store: AnyStore) -> None:
        self.store, self.now, self.job = store, NOW, JobId(b"")
        self.numbers: dict[str, int] = {}
        self.policy = POLICY

    async def enroll(self, number: int, *, per_site: int = 2, first: int = 0) -> None:
        for index in range(first, first + number):
            site = f"s{index // per_site}"
            secret = f"{index}".encode()
            claim = Claim(
                claim_id=secret,
                secret_hash=sha256(secret).digest(),
                site=site,
                count=1,
                expires_ms=WallMs(1 << 50),
            )
            await self.store.run(
                partial(save_claim, claim, actor="me", now_ms=WallMs(self.now)), durable=False
            )
            request = EnrollRequest(secret, secret * 9, f"a{index:02}")
            await self.store.run(partial(enroll, request, now_ms=WallMs(self.now)), durable=False)

    async def submit(self, limit: str = "", **members: object) -> None:
        """Hand in a rollout; `limit`: of the token that does."""
        document = {"name": "look", "steps": [READ], "targets": {"selector": "site"}, **members}
        body = parse_submission(document)
        job = draft_body(body, POLICY, WallMs(self.now))
        within = parse_selector(limit) if limit else None
        who = Submission(actor="me", token_id="t", now_ms=WallMs(self.now), limit=within)
        made = await self.store.run(partial(submit, job, who, ENTROPY), durable=False)
        self.job = made.job
        await self.settle()

    def bench(self) -> Bench:
        return Bench(WallMs(self.now), self.policy)

    async def step(self):
        return await self.store.run(partial(step, self.job, self.bench()), durable=False)

    async def settle(self) -> None:
        """Step until nothing is left to do now, for any rollout."""
        for _ in range(50):
            jobs = await self.store.read(partial(due, WallMs(self.now)))
            if not jobs:
                return
            for job in jobs:
                await self.store.run(partial(step, job, self.bench()), durable=False)
        raise AssertionError("it never comes to rest")

    async def later(self, ms: int) -> None:
        self.now += ms
        await self.settle()

    async def states(self) -> dict[str, ExecutionState]:
        rows = await self.store.read(partial(_executions, self.job))
        return {row[1]: ExecutionState(row[3]) for row in sorted(rows, key=lambda row: row[1])}

    async def execution(self, agent: str, job: bytes = b"") -> bytes:
        rows = await self.store.read(partial(_executions, job or self.job))
        return next(row[0] for row in rows if row[1] == agent)

    async def made_ms(self, agent: str) -> int:
        """Return when an agent's execution was made: one that is made again has the same id."""
        rows = await self.store.read(partial(_executions, self.job))
        return next(row[6] for row in rows if row[1] == agent)

    async def tell(self, agent: str, state: ExecutionState, **result: Value) -> None:
        """Let an agent report a state, then let the rollout see it."""
        number = self.numbers[agent] = self.numbers.get(agent, 0) + 1
        # A gateway may tell of what a coordinator that was put back has not released again.
        execution = execution_of(self.job, AgentId(agent))
        receipt = Receipt(number, execution, "", state, 1, 0, self.now, result=result)
        body = partial(
            reconcile_receipts, AgentId(agent), EPOCH, [receipt], now_ms=WallMs(self.now)
        )
        await self.store.run(body, durable=False)
        await self.settle()

    async def tell_all(self, state: ExecutionState, agents: list[str] | None = None) -> None:
        chosen = [agent for agent, at in (await self.states()).items() if at < 10]
        for agent in agents or chosen:
            await self.tell(agent, state)

    async def sign(self, agent: str):
        body = partial(issue, AgentId(agent), now_ms=WallMs(self.now), again=False)
        return await self.store.run(body, durable=True)

    async def view(self):
        return await self.store.read(partial(view_rollout, self.job))

    async def ask(self, verb):
        body = partial(steer, self.job, Asked(verb, "token:1 anna"), self.bench())
        done = await self.store.run(body, durable=False)
        await self.settle()
        return done


def _executions(job):
    return (yield from fetch("executions_of_job", job, b"\xff" * 16, -1, "", 999))


UNDO = {"steps": [{"id": "undo", "action": "device.read", "params": {"points": ["q"]}}]}


async def enrolled(store: AnyStore) -> Fleet:
    """Twenty agents at ten sites."""
    fleet = Fleet(store)
    await fleet.enroll(20)
    return fleet
