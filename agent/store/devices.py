"""What jobs.db remembers about devices between steps: loans, configurations, wear, what they run.

Every method is one transaction. What is lent is written before the value that replaces it; what
came of putting it back is told in the transaction that forgets it. Leaves out doing it
(`agent.services.restorer`, `agent.actions`).
"""

import sqlite3
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from agent.core.loan import Loan, Owner
from agent.core.moment import Moment
from agent.core.ports import Identity
from agent.core.queue import Due, due_in, rebased
from agent.store.jobs_file import JobsFile
from agent.store.outbox import Fact, Outbox
from agent.store.standing_rows import StandingRows, Tale
from agent.store.stored import stored
from shared import limits
from shared.clock import MonoMs, WallMs
from shared.errors import Reason
from shared.ids import DeviceId
from shared.model.identity import IDENTITY_KEYS
from shared.model.job import TERMINAL_TASK, ExecutionState, TaskState, Value
from shared.runtime.queries import bind, load_queries
from shared.wire.codec import pack, unpack

_SQL = load_queries("agent.store", "queries/devices.sql")
_JOBS = load_queries("agent.store", "queries/jobs.sql")
_FORMER_BYTES = 64


@dataclass(frozen=True, slots=True)
class DueLoans:
    """What is to be put back now, and when to look again."""

    loans: tuple[Loan, ...]
    next_due_ms: MonoMs | None


class DeviceMemory:
    """The agent's memory of its devices."""

    def __init__(self, file: JobsFile, *, now: Callable[[], Moment]) -> None:
        self._file, self._now = file, now
        self.changed: Callable[[], None] = lambda: None
        """Called when something was lent."""

    # --- temporary values -------------------------------------------------------------------------
    async def lend(
        self, owner: Owner, device: DeviceId, former: Mapping[str, int | float], for_s: int
    ) -> None:
        """Remember, durably, what to put back in `for_s` seconds; called before it is replaced.

        A point that is lent already keeps its oldest former value, and gets the new time.
        """
        due = _row(due_in(for_s * 1000, self._now()))

        def work(db: sqlite3.Connection) -> None:
            number = _number(db, owner)
            for point, value in former.items():
                row = bind(device, point, pack({point: value}), number, owner.firing, *due)
                db.execute(_SQL["lend"], row)

        await self._file.transact(work, durable=True)
        self.changed()

    async def prolong(
        self, owner: Owner, device: DeviceId, points: Iterable[str], for_s: int
    ) -> None:
        """Give points that are lent, and have the wanted value already, another time."""
        due = _row(due_in(for_s * 1000, self._now()))

        def work(db: sqlite3.Connection) -> None:
            number = _number(db, owner)
            for point in points:
                db.execute(_SQL["prolong"], bind(device, point, number, owner.firing, *due))

        await self._file.transact(work, durable=True)
        self.changed()

    async def settle(self, device: DeviceId, points: Iterable[str]) -> None:
        """Forget what was to be put back: these points have values that are to stay."""
        names = list(points)

        def work(db: sqlite3.Connection) -> None:
            for point in names:
                db.execute(_SQL["settle"], bind(device, point))

        # The attempt's end is durable, and with it everything before it.
        await self._file.transact(work, durable=False)

    async def due(self) -> DueLoans:
        """Return what is to be put back now."""
        now = self._now()

        def query(db: sqlite3.Connection) -> DueLoans:
            rows = db.execute(_SQL["due_loans"], bind(now.mono_ms, limits.RESTORES)).fetchall()
            following = db.execute(_SQL["next_loan"]).fetchone()[0]
            next_ms = None if following is None else MonoMs(following)
            return DueLoans(tuple(map(_loan, rows)), next_ms)

        return await self._file.read(query)

    async def still_lent(self, loan: Loan) -> bool:
        """Tell whether nothing has settled or prolonged it since it was found due."""
        now = self._now()

        def query(db: sqlite3.Connection) -> bool:
            key = bind(loan.device, loan.point, loan.number, loan.owner.firing, now.mono_ms)
            return bool(db.execute(_SQL["is_lent"], key).fetchone()[0])

        return await self._file.read(query)

    async def postpone(self, loan: Loan, *, for_ms: int, failed: bool) -> None:
        """Try again later."""
        due = _row(due_in(for_ms, self._now()))

        def work(db: sqlite3.Connection) -> None:
            db.execute(_SQL["postpone"], bind(loan.device, loan.point, *due, int(failed)))

        await self._file.transact(work, durable=False)

    async def put_back(
        self, loan: Loan, *, reason: Reason | None, detail: str, result: Mapping[str, Value]
    ) -> None:
        """Forget a loan and tell what became of it, as a receipt of the execution that made it."""
        now = self._now()

        def work(db: sqlite3.Connection) -> None:
            db.execute(_SQL["settle"], bind(loan.device, loan.point))
            fact = Fact(
                state=TaskState.DONE,
                device=loan.device,
                reason=reason,
                detail=detail,
                result=result,
            )
            (_tell_firing if loan.owner.firing else _tell_task)(db, loan, now, fact)

        await self._file.transact(work, durable=True)

    async def rebase(self) -> None:
        """Convert due times of another boot to this one's."""
        now = self._now()

        def work(db: sqlite3.Connection) -> None:
            for device, point, *due in db.execute(
                _SQL["foreign_loans"], bind(now.boot_id)
            ).fetchall():
                row = _row(rebased(_due(due), now))
                db.execute(_SQL["postpone"], bind(device, point, *row, 0))

        await self._file.transact(work, durable=False)

    # --- wear -------------------------------------------------------------------------------------
    async def spare_s(self, device: DeviceId, point: str) -> int:
        """Return for how many seconds more a point must not be written."""
        now = self._now()

        def query(db: sqlite3.Connection) -> int:
            row = db.execute(_SQL["wear_of"], bind(device, point)).fetchone()
            if row is None:
                return 0
            return max(0, -(-(rebased(_due(row), now).mono_ms - now.mono_ms) // 1000))

        return await self._file.read(query)

    async def wrote(self, device: DeviceId, intervals_s: Mapping[str, int]) -> None:
        """Note that points are about to be written that must then be spared for so long."""
        now = self._now()

        def work(db: sqlite3.Connection) -> None:
            for point, interval_s in intervals_s.items():
                due = _row(due_in(interval_s * 1000, now))
                db.execute(_SQL["note_written"], bind(device, point, *due))

        await self._file.transact(work, durable=False)

    # --- configurations ---------------------------------------------------------------------------
    async def keep_config(
        self, owner: Owner, device: DeviceId, names: Iterable[str], values: Mapping[str, Value]
    ) -> None:
        """Keep a configuration under names, durably; what its owner kept before stays as it is."""
        body, wanted = pack(dict(values)), list(names)

        def work(db: sqlite3.Connection) -> None:
            for name in wanted:
                db.execute(_SQL["keep_config"], bind(device, name, owner.key, body))
            db.execute(_SQL["forget_configs"], bind(device, limits.CONFIGS_KEPT))

        await self._file.transact(work, durable=True)

    async def config(self, device: DeviceId, name: str) -> dict[str, int | float] | None:
        """Return a configuration that was kept, None when there is none of that name."""

        def query(db: sqlite3.Connection) -> bytes | None:
            row = db.execute(_SQL["config"], bind(device, name)).fetchone()
            return None if row is None else bytes(row[0])

        body = await self._file.read(query)
        if body is None:
            return None
        return unpack(body, dict[str, int | float], bound=limits.CONFIG_BYTES_KEPT)

    # --- what they are ----------------------------------------------------------------------------
    async def said(self, device: DeviceId) -> Identity | None:
        """Return what a device said of itself when it was asked last; None: it never did."""

        def query(db: sqlite3.Connection) -> Identity | None:
            row = db.execute(_SQL["said"], bind(device)).fetchone()
            return None if row is None else Identity(*row)

        return await self._file.read(query)

    async def heard(self, device: DeviceId, said: Identity) -> None:
        """Remember what a device says of itself; what it said before costs the flash nothing."""
        told = tuple(getattr(said, key)[: limits.IDENTITY_CHARS] for key in IDENTITY_KEYS)
        if await self.said(device) == Identity(*told):
            return

        def work(db: sqlite3.Connection) -> None:
            db.execute(_SQL["keep_said"], bind(device, *told))
            db.execute(_SQL["forget_said"], bind(2 * limits.DEVICES))

        await self._file.transact(work, durable=False)

    # --- firmware ---------------------------------------------------------------------------------
    async def release(self, device: DeviceId, image: int, device_class: str) -> int | None:
        """Return the release of the image that a device confirmed last, None: not known."""

        def query(db: sqlite3.Connection) -> int | None:
            row = db.execute(_SQL["release_had"], bind(device, image, device_class)).fetchone()
            return None if row is None else int(row[0])

        return await self._file.read(query)

    async def keep_release(
        self, device: DeviceId, image: int, device_class: str, release: int
    ) -> None:
        """Remember, durably, the release of the image that a device has confirmed."""

        def work(db: sqlite3.Connection) -> None:
            db.execute(_SQL["keep_release"], bind(device, image, device_class, release))
            db.execute(_SQL["forget_releases"], bind(limits.FIRMWARE_RELEASES))

        await self._file.transact(work, durable=True)


def _number(db: sqlite3.Connection, owner: Owner) -> int:
    number: int = db.execute(_SQL["number_of"], bind(owner.execution)).fetchone()[0]
    return number


def _loan(row: tuple[str, str, bytes, int, bytes, int, int]) -> Loan:
    device, point, former, number, execution, firing, tries = row
    return Loan(
        device=DeviceId(device),
        point=point,
        former=stored(former, dict[str, int | float], bound=_FORMER_BYTES)[point],
        number=number,
        owner=Owner(execution, firing),
        tries=tries,
    )


def _tell_task(db: sqlite3.Connection, loan: Loan, now: Moment, fact: Fact) -> None:
    """Tell it as one more receipt of the device's task, whose own end it leaves as it was."""
    key = bind(loan.number, loan.owner.firing, loan.device)
    state, attempt, ended = db.execute(_SQL["task_of"], key).fetchone()
    if TaskState(state) not in TERMINAL_TASK:
        # The attempt goes on, or is made again: its end will be told after this.
        state, ended = TaskState.RUNNING, 0
    why = fact.reason or (Reason(ended) if ended else None)
    told = replace(fact, state=TaskState(state), attempt=attempt, reason=why)
    receipt = Outbox(db).write(loan.owner.execution, told, now.today_ms)
    db.execute(_JOBS["set_newest_receipt"], bind(loan.number, receipt))


def _tell_firing(db: sqlite3.Connection, loan: Loan, now: Moment, fact: Fact) -> None:
    """Tell it as history of the standing job: its firing is over."""
    tale = Tale(
        state=ExecutionState.SUCCEEDED if fact.reason is None else ExecutionState.FAILED,
        first_ms=now.today_ms,
        last_ms=now.today_ms,
        device=loan.device,
        reason=fact.reason,
        detail=fact.detail,
        result=fact.result,
    )
    StandingRows(db, now).tell(loan.number, tale)


def _due(row: Iterable[bytes | int]) -> Due:
    boot, mono, today, delay = row
    assert isinstance(boot, bytes)
    return Due(boot, MonoMs(int(mono)), WallMs(int(today)), int(delay))


def _row(due: Due) -> tuple[bytes, int, int, int]:
    return due.boot_id, due.mono_ms, due.today_ms, due.delay_ms
