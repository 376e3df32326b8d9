"""One whole-fleet rollout over a real store, each part of it timed by itself.

Everything a rollout can be asked for is asked for: strata, places by site, a share that may be
open, deadlines, a reach deadline, criteria. Who was released answers, in any order, through the
same transaction as a contact's receipts; a hundredth fails. Leaves out contacts (`contacts`),
sizes and ratios (`rollout`).
"""

import asyncio
import os
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from coordinator.contract.job_spec import parse_submission
from coordinator.core.ports import Tx, execute_many, fetch
from coordinator.store.postgres import PostgresStore
from coordinator.store.sqlite import SqliteStore
from coordinator.transactions.dispatch import Bench, due, step
from coordinator.transactions.receipts import Reconciled, reconcile_receipts
from coordinator.transactions.rollouts_view import view_rollout
from coordinator.transactions.submit import Submission, draft_body, submit
from shared.clock import WallMs
from shared.ids import AgentId, JobId
from shared.model.job import ExecutionState
from shared.runtime.clock import SystemEntropy
from shared.trust.starter import first_policy
from shared.wire.messages import Receipt

NOW = WallMs(1_795_000_000_000)
_EPOCH = b"J" * 16
_PER_SITE = 4
_BATCH = 512
TOGETHER = 16
"""Answers that share a commit, as those of contacts do that came while the last one was made."""
_BETWEEN_MS = 16
"""From commit to commit: a thousand answers in a second."""
_FAILS = 100
"""One of so many."""
_POLICY = first_policy(fleet=bytes(16), issued_ms=0, expires_ms=1 << 50)
_JOB = {
    "name": "look",
    "steps": [{"id": "look", "action": "device.read", "params": {"points": ["p"]}}],
    "targets": {"selector": "site"},
    "rollout": {
        "stages": [
            {"name": "canary", "percentage": 1, "min_targets": 3, "stratify_by": ["model", "link"]},
            {"name": "pilot", "percentage": 10, "stratify_by": ["model"]},
            {"name": "fleet", "percentage": 100},
        ],
        "max_concurrent_per_site": 2,
        "max_concurrent_percentage": 50,
    },
    "gate": {"success_percentage": 90, "reach_deadline": "P3D", "stragglers": "carry_forward"},
    "abort": {"criteria": [{"failure_type": "ALL", "threshold_percentage": 20, "min_executed": 9}]},
    "deadlines": {"contact_within": "P30D", "complete_within": "P45D"},
}
Store = SqliteStore | PostgresStore


class Meter:
    """Seconds by part: of the wall, and of processors (the server's too)."""

    def __init__(self, server_cpu_s: Callable[[], float] | None = None) -> None:
        """Take what tells the time of a database server, if there is one."""
        self._server_cpu_s = server_cpu_s
        self.wall_s: dict[str, float] = {}
        self.cpu_s: dict[str, float] = {}

    @contextmanager
    def of(self, part: str) -> Iterator[None]:
        """Count what is done inside as one part."""
        wall, cpu = time.perf_counter(), self._cpu_s()
        yield
        self.wall_s[part] = self.wall_s.get(part, 0.0) + time.perf_counter() - wall
        self.cpu_s[part] = self.cpu_s.get(part, 0.0) + self._cpu_s() - cpu

    def _cpu_s(self) -> float:
        return time.process_time() + (self._server_cpu_s() if self._server_cpu_s else 0.0)


def cpu_s_of_tree(pid: int) -> float:
    """Return the processors' time of a process, its children, and those that it has buried."""
    living = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return sum(_cpu_s(one) for one in (str(pid), *living))


def _cpu_s(pid: str) -> float:
    try:
        fields = Path("/proc", pid, "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    # utime, stime, cutime and cstime are fields 14 to 17.
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


async def fill(store: Store, agents: int) -> None:
    """Let agents in, with the labels that cohorts are made by; not what is measured."""
    for first in range(0, agents, _BATCH):
        numbers = range(first, min(first + _BATCH, agents))
        await store.run(partial(_insert, numbers), durable=False)


def _insert(numbers: range) -> Tx[None]:
    yield from execute_many(
        "agent_insert",
        ((_name(n), n.to_bytes(32), _site(n), b"claim", NOW) for n in numbers),
    )
    labels = (("site", _site), ("model", _model), ("link", _link))
    yield from execute_many(
        "label_insert", ((_name(n), key, value(n)) for n in numbers for key, value in labels)
    )


def _name(number: int) -> str:
    return f"agent-{number:06}"


def _site(number: int) -> str:
    return f"site-{number // _PER_SITE:05}"


def _model(number: int) -> str:
    return ("rpi4", "rpi3", "x86")[number % 3]


def _link(number: int) -> str:
    return "lte" if number % 5 else "wire"


class Rollout:
    """A rollout to everybody; so many answers at a time are told `together`."""

    def __init__(self, store: Store, meter: Meter, together: int) -> None:
        self._store, self._meter, self._together = store, meter, together
        self._random = random.Random(1)
        self._now_ms = NOW
        self._job = JobId(b"")
        self.steps = 0
        self.ended = 0

    async def play(self) -> None:
        """Create it, then let everybody answer as soon as he is released."""
        with self._meter.of("create"):
            draft = draft_body(parse_submission(_JOB), _POLICY, NOW)
            who = Submission(actor="bench", token_id="t", now_ms=NOW)
            made = await self._store.run(partial(submit, draft, who, SystemEntropy()), durable=True)
        self._job = made.job
        while released := await self._settle():
            await self._answer(released)
        with self._meter.of("view"):
            view = await self._store.read(partial(view_rollout, self._job))
        assert view is not None, "it was submitted"
        assert view.state == "FINISHED", view
        assert view.released == view.targets == self.ended, view

    async def _settle(self) -> list[AgentId]:
        """Step until nothing is left to do; return who was released."""
        released: list[AgentId] = []
        with self._meter.of("steps"):
            bench = Bench(self._now_ms, _POLICY)
            while await self._store.read(partial(due, self._now_ms)):
                done = await self._store.run(partial(step, self._job, bench), durable=False)
                released += done.agents
                self.steps += 1
        return released

    async def _answer(self, agents: Sequence[AgentId]) -> None:
        """Let agents tell how it ended, each by itself, and in no order, as contacts come."""
        anyhow = self._random.sample(agents, len(agents))
        for first in range(0, len(agents), self._together):
            some = anyhow[first : first + self._together]
            self._now_ms = WallMs(self._now_ms + _BETWEEN_MS)
            rows = await self._store.read(partial(_executions, some, self._job))
            bodies = [self._tell(agent, execution) for agent, execution in rows]
            with self._meter.of("receipts"):
                await asyncio.gather(*(self._store.run(one, durable=False) for one in bodies))

    def _tell(self, agent: AgentId, execution: bytes) -> Callable[[], Tx[Reconciled]]:
        self.ended += 1
        failed = self.ended % _FAILS == 0
        state = ExecutionState.FAILED if failed else ExecutionState.SUCCEEDED
        receipt = Receipt(1, execution, "", state, 1, 0, self._now_ms)
        return partial(reconcile_receipts, agent, _EPOCH, [receipt], now_ms=self._now_ms)


def _executions(agents: Sequence[AgentId], job: JobId) -> Tx[list[tuple[AgentId, bytes]]]:
    found = []
    for agent in agents:
        rows = yield from fetch("executions_of_agent", agent, b"\xff" * 16, -1, 1)
        found += [(agent, row[0]) for row in rows if row[2] == job]
    return found
