"""A program over the agent's real stores, to be recorded: it says what a power cut must not undo.

Everything an agent promises to anybody is here: blocks that a report announced, losses it showed,
true times it learnt, reports it numbered, orders it admitted. Rows carry their own number.
"""

import asyncio
import contextlib
import os
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from agent.core.contact import Standing
from agent.core.ports import PollRow
from agent.core.settings import TelemetrySettings
from agent.store.contact import ContactStore
from agent.store.jobs import JobStore, Planned
from agent.store.jobs_file import JobsFile, begin_counters
from agent.store.telemetry import TelemetryStore
from shared.block.codec import decode
from shared.errors import Reason, WorldError
from shared.model.reading import Quality
from shared.runtime.clock import SystemEntropy
from shared.sync.outgoing import Candidate, Freed, Frozen
from shared.sync.ranges import Ranges
from shared.trust.counters import Counters
from shared.wire.messages import Anchor, Receipt
from tests.agent_parts import admitted, uid, write_job
from tests.jobs_box import Box, at, report
from tests.power.recording import be_faulty, careless, say
from tests.unit.readings_world import HandClock, make_table
from tests.unit.test_agent_jobs import free

POINTS = 8
TABLE = make_table(devices=1, points=POINTS)
SETTINGS = TelemetrySettings(storage_max_bytes=192 << 10)


@dataclass
class Writer:
    """One agent's stores and what became of them."""

    telemetry: TelemetryStore
    file: JobsFile
    jobs: JobStore
    contact: ContactStore
    clock: HandClock
    chance: random.Random
    rows: int = 0
    announced: set[int] = field(default_factory=set)
    orders: int = 0

    def move_in(self) -> None:
        """Say whose file this is, if there is one: from then on it knows what a cut takes."""
        status = self.telemetry.status
        if not status.trouble:
            say(announced=[], epoch=status.epoch.hex(), durable_to=0)

    async def record(self) -> None:
        """Take some polls; nothing is promised yet."""
        for _ in range(self.chance.randrange(1, 30)):
            self.rows += 1
            self.clock.advance(1_000)
            noise = [self.chance.random() for _ in range(POINTS - 1)]
            row = PollRow(
                channels=range(POINTS),
                at=self.clock.now(),
                values=[self.rows, *noise],
                qualities=[Quality.GOOD] * POINTS,
            )
            say(recorded=self.rows)
            await self.telemetry.record(row)

    async def announce(self) -> None:
        """Seal, and show the blocks to a contact."""
        await self.telemetry.seal()
        waiting = await self.telemetry.waiting()
        blocks = await self.telemetry.blocks([one.seq for one in waiting])
        fresh = [
            (one, data)
            for one, data in zip(waiting, blocks, strict=True)
            if one.seq not in self.announced
        ]
        self.announced |= {one.seq for one, _ in fresh}
        told = [[one.seq, one.digest.hex(), _rows_in(data)] for one, data in fresh]
        status = self.telemetry.status
        if status.trouble and not told:
            return  # it may not even have a file of its own yet
        durable = not (status.trouble or status.open_readings)
        say(announced=told, epoch=status.epoch.hex(), durable_to=self.rows if durable else 0)

    async def answer(self) -> None:
        """Let a coordinator acknowledge some blocks, refuse one, and take losses."""
        waiting = await self.telemetry.waiting()
        some = self.chance.sample(waiting, k=len(waiting) // 2)
        refused = self._refused(some)
        shown = await self.telemetry.ledger()
        say(shown=[[row.number, row.reason, row.count] for row in shown])
        ledger_to = shown[-1].number if shown and self.chance.random() < 0.3 else 0
        acked = [one.seq for one in some if one.seq not in refused]
        say(acked=acked, refused=refused, ledger_to=ledger_to)
        anchors = tuple(await self.telemetry.anchors())
        say(told=[anchor.mono_ms for anchor in anchors])
        rejected = tuple((seq, Reason.BLOCK_MALFORMED) for seq in refused)
        await self.telemetry.free(Freed(Ranges.of(acked), rejected, 0, ledger_to, (), anchors))

    async def learn(self) -> None:
        """Measure the true time, which is always worth telling here."""
        at = self.clock.now()
        anchor = Anchor(at.boot_id, at.mono_ms, at.wall_ms + 9_000 * self.rows, 1)
        if await self.telemetry.learn(anchor):
            say(anchor=at.mono_ms)

    async def mend(self) -> None:
        """Do as the services do after a failure; else nothing."""
        if self.telemetry.status.trouble:
            await self.telemetry.keep()
            self.move_in()
        await self.file.heal()

    async def order(self) -> None:
        """Number a report, take an order, settle the report."""
        sent = await self.contact.freeze(_report, self.clock.now().wall_ms)
        say(report=[sent.counter, sent.digest.hex()])
        self.orders += 1
        bundle = admitted(self.orders, (uid(self.orders), write_job(5)))
        planned = [Planned(job, ()) for job in bundle.jobs]
        await self.jobs.admit(bundle, planned, now=at(self.clock.mono))
        say(order=self.orders)
        if self.chance.random() < 0.5:
            say(settled=sent.counter)
            await free(
                Box(folder=Path(), file=self.file, jobs=self.jobs, contact=self.contact),
                receipts_to=0,
            )

    def _refused(self, some: list[Candidate]) -> list[int]:
        return [one.seq for one in some if self.chance.random() < 0.1]


def _report(standing: Standing, receipts: Sequence[Receipt]) -> Frozen:
    frozen: Frozen = report(standing, receipts)
    return frozen


def _rows_in(data: bytes) -> list[int]:
    return [int(n) for group in decode(data).groups for n in group.columns[0] if n is not None]


async def main(folder: Path, turns: int, seed: int) -> None:
    """Work for some turns, then stop without a word."""
    careless()
    be_faulty()
    begin_counters(folder, Counters(epoch=1, root_version=1))
    clock, chance = HandClock(), random.Random(seed)
    with TemporaryDirectory() as memory:
        telemetry = await TelemetryStore.open(
            folder, Path(memory), TABLE, SETTINGS, clock=clock, entropy=SystemEntropy()
        )
        file = await JobsFile(folder, SystemEntropy()).open()
        writer = Writer(telemetry, file, JobStore(file), ContactStore(file), clock, chance)
        writer.move_in()
        for _ in range(turns):
            await writer.record()
            tasks = [telemetry.keep, writer.announce, writer.answer, writer.learn, writer.order]
            for task in (chance.choice(tasks), writer.mend):
                with contextlib.suppress(WorldError):
                    await task()
        os._exit(0)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
