"""One agent's jobs.db for tests: bundles go in, attempts begin and end, receipts come out."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from agent.actions.registry import check_step
from agent.core.contact import Identity, Standing, base_report
from agent.core.executor import Claim, Conclusion
from agent.core.moment import Moment
from agent.core.queue import plan_job
from agent.store.contact import ContactStore
from agent.store.jobs import JobStore, Planned
from agent.store.jobs_file import JobsFile, begin_counters
from shared.clock import MonoMs, WallMs
from shared.model.job import ExecutionState, JobSpec, TaskState
from shared.runtime.clock import SystemEntropy
from shared.sync.outgoing import Frozen, freeze_report
from shared.trust.counters import Counters
from shared.wire.messages import Receipt, Tally
from tests.agent_parts import NEVER, WALL, HandClock, admitted, device
from tests.unit.trust_world import NAME, World, make_root, seal_root, signer

DEVICES = [device("pump-1"), device("pump-2")]
BOOT = b"a" * 16


def at(ms: int, *, boot: bytes = BOOT) -> Moment:
    return Moment(MonoMs(ms), boot, WallMs(WALL + ms), proven_ms=WallMs(WALL + ms))


@dataclass
class Box:
    """One agent's jobs.db, opened as often as a test wants."""

    folder: Path
    file: JobsFile
    jobs: JobStore
    contact: ContactStore

    @classmethod
    async def open(cls, folder: Path) -> "Box":
        begin_counters(folder, Counters(epoch=1, root_version=1))
        file = await JobsFile(folder, SystemEntropy()).open()
        return cls(folder, file, JobStore(file), ContactStore(file))

    async def again(self) -> "Box":
        await self.file.close()
        return await Box.open(self.folder)

    async def admit(
        self, seq: int, *jobs: tuple[bytes, JobSpec], now: Moment, not_after=NEVER, cancels=()
    ):
        bundle = replace(admitted(seq, *jobs, not_after=not_after), cancels=tuple(cancels))
        planned = [Planned(job, plan_job(job.spec, DEVICES, check_step)) for job in bundle.jobs]
        return await self.jobs.admit(bundle, planned, now=now)

    async def end(self, claim: Claim, conclusion: Conclusion, now: Moment) -> None:
        assert await self.jobs.finish(claim, conclusion, now)

    async def claim(self, now: Moment, room: int = 9) -> list[Claim]:
        return list((await self.jobs.claim(now, room=room)).claims)

    async def receipts(self) -> list[Receipt]:
        """Return every receipt that waits, through the very door reports use."""
        found: list[Receipt] = []

        class Peeked(Exception):  # noqa: N818
            pass

        def peek(_standing, receipts):
            found.extend(receipts)
            raise Peeked

        with pytest.raises(Peeked):
            await self.contact.freeze(peek, WallMs(WALL))
        return found

    async def told(self) -> list[tuple[str, str, int]]:
        """Return (device, state, attempt) of the receipts that wait."""
        return [
            (r.device, (TaskState if r.device else ExecutionState)(r.state).name, r.attempt)
            for r in await self.receipts()
        ]


@pytest.fixture
async def box(tmp_path: Path) -> AsyncIterator[Box]:
    """A fresh one, closed in the end."""
    made = await Box.open(tmp_path)
    try:
        yield made
    finally:
        await made.file.close()


def report(standing: Standing, receipts: Sequence[Receipt]) -> Frozen:
    """Freeze a report of nothing but receipts, as the contact does."""
    base = base_report(
        Identity(NAME, make_root(), seal_root(make_root()), signer("agent")),
        standing,
        World().held(),
        HandClock().now(),
        telemetry_epoch=b"t" * 16,
        next_block=1,
        tally=Tally(0, 0, 0, 0, 0),
    )
    return freeze_report(base, blocks=[], receipts=receipts, ledger=[], signer=signer("agent"))
