"""Contacts of several agents in one transaction of PostgreSQL's, step by step side by side.

A round trip, and a commit that waits for the disk, cost more than most statements of a contact. So
bodies that stay with the rows of their own agent share both: what arrives while a group is at work
is the next one, and alike steps of all bodies go to the server together. Nothing of one is seen by
another, for none touches what is another's: a body that asks for more leaves its group, or ends it
when it had written; what is left over so, or by a conflict with others, runs one by one. Leaves out
connections and commits (`coordinator.store.postgres`).
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, assert_never

from coordinator.core.ports import Many, Query, Scalar, Step, Together, Tx
from coordinator.store.postgres_session import Session
from shared import limits
from shared.errors import Reason, WorldError

_READS = frozenset({"boot_times", "contact_state", "device_states", "schemas_wanted"})
_WRITES = frozenset(
    {
        "anchor_save",
        "block_insert",
        "boot_save",
        "contact_save",
        "device_state_save",
        "device_states_forget",
        "health_save",
        "intake_day_save",
        "jobs_store_insert",
        "ledger_insert",
        "report_forget_old",
        "report_learn",
        "retime_begin",
        "rollup_due_insert",
        "schema_want",
        "telemetry_gone_save",
        "telemetry_save",
    }
)
OWN: Mapping[str, int] = {
    **dict.fromkeys(_READS | _WRITES, 0),
    # Its rows are named after the agent; triggers themselves are only read.
    "trigger_event": 3,
}
"""Statements that touch rows of one agent alone, and which of their values names it."""


class SplitError(Exception):
    """Nothing of a body was committed in its group: it has to run by itself."""

    def __init__(self, culprit: str = "") -> None:
        super().__init__(culprit)
        self.culprit = culprit
        """The agent whose body ended the whole group; empty: none of them did."""


@dataclass(frozen=True, slots=True)
class Member:
    """A transaction that waits for its group."""

    transaction: Callable[[], Tx[Any]]
    durable: bool
    agent: str
    done: asyncio.Future[Any]


class Groups:
    """Lets transactions wait for those before them, and commits what has come together."""

    def __init__(self, commit: Callable[[Sequence[Member]], Awaitable[Sequence[Any]]]) -> None:
        """`commit` returns each one's value or `SplitError`, or raises that for all of them."""
        self._commit = commit
        self._queue: deque[Member] = deque()
        self._workers: set[asyncio.Task[None]] = set()
        self._at_work = 0
        """Workers that will still look at the queue; one that has ended is a task for a while."""
        self._apart: dict[str, int] = {}
        """Agents whose next contacts, so many, go by themselves: they ended a group."""

    def takes(self, agent: str) -> bool:
        """Tell whether an agent's transaction may join a group."""
        left = self._apart.pop(agent, 0)
        if left > 1:
            self._apart[agent] = left - 1
        return not left

    async def run(self, transaction: Callable[[], Tx[Any]], *, durable: bool, agent: str) -> Any:  # noqa: ANN401  # whatever the body returns
        """Run a transaction in a group; it runs on when its caller gives up.

        Raises:
            SplitError: it has to run by itself.
            WorldError: too many wait.
        """
        if len(self._queue) >= limits.WRITER_QUEUE:
            raise WorldError(Reason.STORE_BUSY, "too many transactions wait")
        member = Member(transaction, durable, agent, asyncio.get_running_loop().create_future())
        self._queue.append(member)
        if self._at_work < limits.POSTGRES_GROUPS:
            self._at_work += 1
            worker = asyncio.create_task(self._work(), name="groups of contacts")
            self._workers.add(worker)
            worker.add_done_callback(self._workers.discard)
        return await member.done

    async def close(self) -> None:
        """Let what waits come to its end."""
        while self._workers:
            await asyncio.wait(self._workers)

    async def _work(self) -> None:
        try:
            while members := self._next():
                await self._settle(members)
        finally:
            self._at_work -= 1

    async def _settle(self, members: Sequence[Member]) -> None:
        try:
            outcomes = await self._commit(members)
        except SplitError as split:
            self._note(split.culprit)
            outcomes = [SplitError() for _ in members]
        except Exception as error:  # noqa: BLE001  # whatever it is, each caller hears of it
            outcomes = [error] * len(members)
        except BaseException:
            for member in members:
                member.done.cancel()  # the loop ends; nobody knows whether it was committed
            raise
        for member, outcome in zip(members, outcomes, strict=True):
            if member.done.done():
                continue  # its caller gave up
            if isinstance(outcome, Exception):
                member.done.set_exception(outcome)
            else:
                member.done.set_result(outcome)

    def _next(self) -> Sequence[Member]:
        """Take those who wait, of each agent one; in the order in which every group locks rows."""
        chosen: dict[str, Member] = {}
        later: list[Member] = []
        while self._queue and len(chosen) < limits.POSTGRES_GROUP:
            member = self._queue.popleft()
            if member.done.done():
                continue  # its caller gave up before it began
            if member.agent in chosen:
                later.append(member)
            else:
                chosen[member.agent] = member
        self._queue.extendleft(reversed(later))
        return [chosen[agent] for agent in sorted(chosen)]

    def _note(self, culprit: str) -> None:
        if culprit:
            self._apart[culprit] = limits.POSTGRES_APART_RUNS
            while len(self._apart) > limits.POSTGRES_APART_AGENTS:
                del self._apart[next(iter(self._apart))]


async def drive_beside(session: Session, members: Sequence[Member]) -> Sequence[Any]:
    """Run the bodies of a group; return their values.

    `SplitError` in the place of one that, before it wrote anything, raised or asked for what is
    not its agent's alone.

    Raises:
        SplitError: one did so after it had written.
        QueryFailedError: a statement did not work.
    """
    bodies = [_Body(member) for member in members]
    try:
        while at_work := [body for body in bodies if body.advance()]:
            steps = [body.step for body in at_work if body.step is not None]
            for body, rows in zip(at_work, await session.answer_all(steps), strict=True):
                body.rows = rows
    finally:
        for body in bodies:
            body.generator.close()
    return [body.value for body in bodies]


class _Body:
    """One of a group."""

    def __init__(self, member: Member) -> None:
        self.agent, self.generator = member.agent, member.transaction()
        self.step: Step | None = None
        """What it asks; None at the end."""
        self.rows: Any = None
        """What is answered to that; a generator is begun with None."""
        self.value: Any = None
        self._ended = self._wrote = False

    def advance(self) -> bool:
        """Go on to the next step; tell whether there is one.

        Raises:
            SplitError: what it wrote has to be undone.
        """
        if self._ended:
            return False
        try:
            self.step = self.generator.send(self.rows)
            asked = _asked(self.step)
            if all(_is_own(name, values, self.agent) for name, values in asked):
                self._wrote |= any(name not in _READS for name, _ in asked)
                return True
            self.value = SplitError()
        except StopIteration as done:
            self._wrote, self.value = False, done.value
        except Exception:  # noqa: BLE001  # the body by itself raises it again, to its caller
            self.value = SplitError()
        if self._wrote:
            raise SplitError(self.agent)
        self._ended, self.step = True, None
        return False


def _asked(step: Step) -> Sequence[tuple[str, tuple[Scalar, ...]]]:
    match step:
        case Query(name, values):
            return [(name, values)]
        case Many(name, rows):
            return [(name, row) for row in rows]
        case Together(queries):
            return [(query.name, query.values) for query in queries]
        case _:
            assert_never(step)


def _is_own(name: str, values: Sequence[Scalar], agent: str) -> bool:
    return name in OWN and values[OWN[name]] == agent
