"""Jobs called off at any moment, over answers that get lost, stores that get lost, restores.

A coordinator's real store and an agent that obeys the protocol: it knows executions by their id,
tells what it proved once per receipt, and what it said once more after all was acknowledged. At
the end of each history the two agree, whatever happened between.
"""

import asyncio
import shutil
import tempfile
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.core.ports import execute
from coordinator.store.sqlite import SqliteStore
from coordinator.transactions.cancel import cancel
from coordinator.transactions.issue import CONFIRM_MS, issue
from coordinator.transactions.jobs import Wanted, list_executions, view_job
from coordinator.transactions.receipts import reconcile_receipts
from shared.clock import WallMs
from shared.model.job import TERMINAL_EXECUTION, ExecutionState
from shared.wire.messages import Receipt
from tests.length import examples
from tests.unit.test_coordinator_transactions import AGENT, NOW, enrolled, submitted

STEPS = st.sampled_from(
    [
        *("contact", "contact", "answer lost", "begin", "end", "cancel", "cancel", "store lost"),
        *("copy", "restore"),
    ]
)


@dataclass
class Agent:
    """What an agent knows of executions, and what it has yet to tell."""

    epoch: int = 1
    known: dict[bytes, ExecutionState] = field(default_factory=dict)
    told: list[Receipt] = field(default_factory=list)
    number: int = 0

    def tell(self, execution: bytes, state: ExecutionState, **result: str) -> None:
        self.known[execution] = state
        self.number += 1
        self.told.append(Receipt(self.number, execution, "", state, 1, 0, NOW, "", {**result}))

    def obey(self, order) -> None:
        for execution in order.cancels:
            state = self.known.get(execution)
            if state is None:
                self.tell(execution, ExecutionState.CANCELED, cancel="never_delivered")
            elif state in TERMINAL_EXECUTION:
                if not self.told:
                    self.tell(execution, state)
            else:
                begun = state is ExecutionState.IN_PROGRESS
                how = "stopped" if begun else "not_started"
                self.tell(execution, ExecutionState.CANCELED, cancel=how)
        for grant in order.grants:
            if grant.execution not in self.known:
                self.tell(grant.execution, ExecutionState.DELIVERED)

    def move(self, state: ExecutionState) -> None:
        for execution, before in self.known.items():
            if before not in TERMINAL_EXECUTION:
                self.tell(execution, state)

    def lose(self) -> None:
        self.epoch, self.known, self.told, self.number = self.epoch + 1, {}, [], 0


@dataclass
class Play:
    """One history of one job on one agent."""

    store: SqliteStore
    path: Path
    job: bytes
    agent: Agent = field(default_factory=Agent)
    now_ms: int = NOW
    asked: bool = False
    lost: bool = False
    copied: bool = False

    @property
    def copy(self) -> Path:
        return self.path.with_suffix(".copy")

    async def step(self, name: str) -> None:
        match name:
            case "contact" | "answer lost":
                await self.contact(lost=name == "answer lost")
            case "begin":
                self.agent.move(ExecutionState.IN_PROGRESS)
            case "end":
                self.agent.move(ExecutionState.SUCCEEDED)
            case "cancel":
                body = partial(cancel, self.job, actor="anna", now_ms=WallMs(self.now_ms))
                done = await self.store.run(body, durable=False)
                assert done is not None
                self.asked |= not done.settled
            case "store lost":
                self.agent.lose()
            case "copy":
                await self.store.close()
                shutil.copy(self.path, self.copy)
                self.copied, self.store = True, await SqliteStore.open(self.path)
            case "restore" if self.copied:
                await self.store.close()
                shutil.copy(self.copy, self.path)
                self.store = await SqliteStore.open(self.path)
                self.now_ms += 1
                row = (self.now_ms, self.now_ms, NOW)
                await self.store.run(partial(execute, "restore_insert", *row), durable=False)

    async def contact(self, *, lost: bool = False) -> None:
        self.now_ms += CONFIRM_MS
        epoch = bytes([self.agent.epoch]) * 16
        row = (AGENT, 1, b"d", b"t", epoch, b"b", 2, 0, "{}", self.now_ms, None, 0, 0)
        await self.store.run(partial(execute, "contact_save", *row), durable=False)
        body = partial(reconcile_receipts, AGENT, epoch, self.agent.told, now_ms=NOW)
        await self.store.run(body, durable=False)
        order = await self.store.run(
            partial(issue, AGENT, now_ms=WallMs(self.now_ms), again=self.lost), durable=False
        )
        self.lost = lost
        if lost:
            return
        self.agent.told = []
        if order is not None:
            self.agent.obey(order)


async def run(names: list[str]) -> None:
    with tempfile.TemporaryDirectory(prefix="outstation-cancel-") as folder:
        path = Path(folder) / "coordinator.db"
        store = await SqliteStore.open(path)
        await enrolled(store)
        job = (await submitted(store, lasts_ms=30_000_000_000)).job
        play = Play(store, path, job)
        try:
            for name in names:
                await play.step(name)
            for _ in range(3):
                await play.contact()
            await check(play)
        finally:
            await play.store.close()


async def check(play: Play) -> None:
    store = play.store
    views, _ = await store.read(partial(list_executions, Wanted(), before=b"\xff" * 16, size=9))
    (view,) = views
    job = await store.read(partial(view_job, play.job, now_ms=WallMs(play.now_ms)))
    assert job is not None
    if job.canceled_at is None:
        # Nobody asked, it was over when somebody did, or an older copy does not know of it.
        assert not play.asked or play.copied
        assert view.cancel is None
        return
    assert view.cancel is not None
    assert view.cancel.outcome is not None, "a receipt settled it"
    assert ExecutionState[view.state] in TERMINAL_EXECUTION
    assert job.state == "CANCELED"
    assert (view.cancel.outcome == "too_late") is (view.state == "SUCCEEDED")
    for state in play.agent.known.values():
        assert state in TERMINAL_EXECUTION, "nothing goes on there"


@settings(max_examples=examples(60), deadline=None)
@given(st.lists(STEPS, max_size=12))
def test_whatever_happens_a_job_that_was_called_off_ends_and_its_outcome_is_known(names):
    asyncio.run(run(names))
