"""Any links, any crashes: what the agent and a coordinator by the rules end up knowing agrees.

Real stores on real files, the real executor and contact, virtual time. Hypothesis chooses what
happens to each request and answer, and after which commit the agent is killed.
"""

import asyncio
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agent.actions.registry import ACTIONS, check_step
from agent.core.contact import Identity
from agent.core.ports import PollRow
from agent.core.queue import plan_job
from agent.core.sampler import channel_table
from agent.core.settings import TelemetrySettings
from agent.core.uplink import Answered, Delivered, Fault, LinkFailed
from agent.services.calendar import Calendar
from agent.services.contact import Contact
from agent.services.executor import Executor
from agent.services.facts import Facts
from agent.services.gates import Gates
from agent.services.guard import Guard
from agent.services.step_runner import StepRunner
from agent.store.contact import ContactStore, read_epoch
from agent.store.devices import DeviceMemory
from agent.store.jobs import JobStore
from agent.store.jobs_file import JobsFile, begin_counters
from agent.store.telemetry import TelemetryStore
from shared.ids import DeviceId
from shared.model.job import ExecutionState
from shared.model.reading import Quality
from shared.sync.body import decode_body
from shared.trust.counters import Counters
from tests.agent_coordinator import Brain
from tests.agent_parts import MemoryDevice, device, uid, write_job
from tests.simulation.loop import World, simulate

WHOLE = 524_288
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
"""A simulated disk needs no real one."""
PUMPS = [device("pump-1"), device("pump-2")]
TABLE = channel_table(PUMPS)


class KilledError(BaseException):
    """The process is gone, here and now."""


class FragileFile(JobsFile):
    """A jobs.db whose process is killed right before or right after a chosen commit."""

    left = -1
    dead = False
    after = False

    async def transact(self, work: Callable[..., Any], *, durable: bool) -> Any:
        if self.dead:
            raise KilledError
        self.left -= 1
        if self.left == 0 and not self.after:
            self.dead = True
            raise KilledError
        value = await super().transact(work, durable=durable)
        if self.left == 0:
            self.dead = True
            raise KilledError
        return value


@dataclass
class BadLink:
    """Carries a contact to the coordinator and does to it what it is told."""

    brain: Brain
    world: World
    fate: str = "good"
    old: list[bytes] = field(default_factory=list)
    answers: list[tuple[bytes, bytes]] = field(default_factory=list)
    """Each answer behind the report that it answers."""
    fooled: bool = False
    """The last answer belonged to another report."""

    async def exchange(self, body: bytes, *, wait_s: int, keep: bool) -> Delivered | LinkFailed:
        await asyncio.sleep(0.02)
        fate, now = self.fate, self.world.clock.wall_ms()
        lost = LinkFailed(fault=Fault.SILENT)
        if fate == "request lost":
            return lost
        if fate == "an old request comes again":
            for old in self.old[-3:]:
                self.brain.answer(old, now, genuine=False)
        answer = self.brain.answer(body, now)
        self.old.append(body)
        if fate == "request doubled":
            answer = self.brain.answer(body, now)
        self.answers.append((report_in(body), answer))
        await asyncio.sleep(0.02)
        if fate == "answer lost":
            return lost
        if fate == "answer altered":
            middle = len(answer) // 2
            answer = answer[:middle] + bytes([answer[middle] ^ 1]) + answer[middle + 1 :]
        strange = [old for of, old in self.answers if of != report_in(body)]
        if fate == "an old answer comes instead" and strange:
            self.fooled = True
            answer = strange[-1]
        return Delivered(body=answer)

    def abort(self) -> None:
        """Nothing to break off: exchanges here are short."""

    async def close(self) -> None:
        """Nothing is open."""


def report_in(body: bytes) -> bytes:
    return decode_body(body, bound=len(body))[0].data


@dataclass
class Site:
    """One gateway through its lives: files and devices stay, processes come and go."""

    world: World
    folder: Path
    link: BadLink
    pumps: dict[DeviceId, MemoryDevice]
    recorded: list[float] = field(default_factory=list)
    kills: int = 0

    async def boot(self) -> None:
        clock, entropy = self.world.clock, self.world.entropy
        self.file = FragileFile(self.folder / "data", entropy)
        await self.file.open()
        self.telemetry = await TelemetryStore.open(
            self.folder / "data",
            self.folder / "run",
            TABLE,
            TelemetrySettings(),
            clock=clock,
            entropy=entropy,
        )
        calendar, jobs = Calendar(clock), JobStore(self.file)
        self.store = ContactStore(self.file)
        brain = self.link.brain.world
        envelope = brain.trust.root_envelope
        identity = Identity(brain.name, brain.root, envelope, brain.agent)
        self.guard = guard = Guard(identity, self.store, clock=clock, calendar=calendar)
        self.contact = Contact(
            guard=guard,
            store=self.store,
            jobs=jobs,
            telemetry=self.telemetry,
            link=self.link,
            plan=partial(plan_job, devices=PUMPS, check=check_step),
            clock=clock,
            calendar=calendar,
        )
        devices = {one.id: (one, self.pumps[one.id]) for one in PUMPS}
        facts = Facts(devices, dict)
        self.executor = Executor(
            jobs,
            runner=StepRunner(
                jobs,
                devices=devices,
                actions=ACTIONS,
                memory=DeviceMemory(self.file, now=calendar.now),
                may_write=guard.may_write,
                now=calendar.now,
            ),
            facts=facts,
            gates=Gates(facts, zone="UTC", locked_ms=lambda: 0),
            now=calendar.now,
            entropy=entropy,
            told=lambda: None,
            permit=guard.permit,
        )
        self.work = asyncio.create_task(self.executor.run(), name="executor")

    async def kill(self) -> None:
        """End the process without letting it finish anything."""
        self.kills += 1
        self.file.dead = True
        self.work.cancel()
        with suppress(BaseException):
            await self.work
        # Copies, because the open files' locks belong to a process that would be gone.
        before = self.folder
        self.folder = before.with_name(f"life-{self.kills}")
        shutil.copytree(before, self.folder)
        rename_journals(before, self.folder)
        await self.close_files()

    async def close_files(self) -> None:
        await self.file.close()
        await self.telemetry.close()

    async def guarded(self, step: Callable[[], Any]) -> Any:
        """Do a step of the process; if it is killed in it, start it again."""
        try:
            value = await step()
            await asyncio.sleep(0.2)  # let the executor do what it now can
            died = self.work.done()
        except KilledError:
            died, value = True, None
        if died or self.file.dead:
            await self.kill()
            await self.boot()
        return value

    async def poll(self) -> None:
        for group in TABLE.groups:
            # Each another number, with digits that no codec can make small.
            values = [
                len(self.recorded) + n + self.world.entropy.fraction()
                for n in range(len(group.channels))
            ]
            self.recorded += values
            row = PollRow(
                channels=group.channels,
                at=self.world.clock.now(),
                values=values,
                qualities=[Quality.GOOD] * len(values),
            )
            await self.telemetry.record(row)

    async def meet(self, budget: int) -> Any:
        end = await self.contact.run(seal=True, wait_s=0, budget=budget, keep=False)
        self.executor.wake()
        return end

    async def check_nothing_was_freed_early(self) -> None:
        tally = await self.telemetry.tally()
        assert tally.sampled == len(self.recorded) == tally.delivered + tally.stored
        assert tally.delivered <= len(self.link.brain.readings)
        epoch, kept, made = await self.file.read(outbox)
        told = {number for known, number in self.link.brain.receipts if known == epoch}
        assert told | kept == set(range(1, made + 1))


def outbox(db: sqlite3.Connection) -> tuple[bytes, set[int], int]:
    """Return the epoch, the receipts that are kept, and how many were ever made."""
    kept = {number for (number,) in db.execute("SELECT number FROM outbox")}
    made = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'outbox'").fetchone()
    return read_epoch(db), kept, made[0] if made else 0


def rename_journals(before: Path, after: Path) -> None:
    """Give copied journals the names that their new data directory expects."""
    from agent.store.journal import JournalFolder

    old = JournalFolder(before / "run", before / "data")
    new = JournalFolder(after / "run", after / "data")
    for journal in (after / "run").glob("*.journal"):
        key = bytes.fromhex(journal.stem.split("-")[-1])
        assert journal.name == old.file(key).name
        journal.rename(new.file(key))


fates = st.sampled_from(
    [
        "good",
        "request lost",
        "answer lost",
        "request doubled",
        "answer altered",
        "an old request comes again",
        "an old answer comes instead",
    ]
)
steps = st.one_of(
    st.tuples(st.just("meet"), fates, st.sampled_from([WHOLE, 65_536, 4_096, 900, 600])),
    st.tuples(st.just("poll"), st.integers(1, 40)),
    st.tuples(st.just("job")),
    st.tuples(st.just("kill"), st.integers(1, 6), st.booleans()),
    st.tuples(st.just("pass"), st.integers(1, 100_000)),
)


@given(st.lists(steps, max_size=25), st.integers(0, 2**32))
@example([("job",), ("meet", "good", WHOLE), ("kill", 1, True), ("meet", "good", WHOLE)], 1)
@example([("poll", 9), ("kill", 2, True), ("meet", "answer lost", WHOLE)], 2)
def test_both_sides_end_up_knowing_the_same_whatever_links_and_processes_do(
    script: list[tuple[Any, ...]], seed: int
) -> None:
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        simulate(partial(play, script=script, folder=Path(folder) / "life-0"), seed=seed)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("commit", range(1, 15))
def test_a_kill_at_any_commit_of_a_job_has_no_second_effect(commit: int, after: bool, tmp_path):
    contact = ("meet", "good", WHOLE)
    script = [("job",), ("poll", 1), ("job",), ("kill", commit, after), *[contact] * 4]
    simulate(partial(play, script=script, folder=tmp_path / "life-0"), seed=commit)


async def play(world: World, *, script: list[tuple[Any, ...]], folder: Path) -> None:
    for name in ("data", "run"):
        (folder / name).mkdir(parents=True)
    brain = Brain()
    pumps = {one.id: MemoryDevice(one.id) for one in PUMPS}
    begin_counters(folder / "data", Counters(epoch=1, root_version=1))
    site = Site(world, folder, BadLink(brain, world), pumps)
    await site.boot()
    try:
        ordered = await perform(site, script)
        await reconcile(site, ordered)
        check(site, ordered)
    finally:
        site.work.cancel()
        with suppress(BaseException):
            await site.work
        await site.close_files()


async def perform(site: Site, script: list[tuple[Any, ...]]) -> list[int]:
    """Do what the script says; return the set-points that were ordered."""
    ordered: list[int] = []
    kills = 0
    for step in script:
        match step:
            case ("meet", fate, budget):
                site.link.fate, site.link.fooled = fate, False
                end = await site.guarded(partial(site.meet, budget))
                assert not (site.link.fooled and isinstance(end, Answered))
            case ("poll", count):
                for _ in range(count):
                    await site.guarded(site.poll)
            case ("job",):
                ordered.append(1000 + len(ordered))
                site.link.brain.submit(uid(ordered[-1]), write_job(ordered[-1]))
            case ("kill", commits, after) if kills < 2:
                # A third crash in one task would quarantine it, which is another test's matter.
                kills += 1
                site.file.left, site.file.after = commits, after
            case ("pass", length_ms):
                await asyncio.sleep(length_ms / 1000)
        await site.check_nothing_was_freed_early()
    return ordered


async def reconcile(site: Site, ordered: list[int]) -> None:
    """Let the link be good until both sides have nothing to say; that takes few contacts."""
    site.link.fate = "good"
    site.file.left = -1
    for _ in range(12 + 2 * len(ordered) + len(site.recorded) // 100):
        end = await site.guarded(partial(site.meet, WHOLE))
        if end is None:
            continue  # killed once more
        assert isinstance(end, Answered), end
        done = all(site.link.brain.state_of(uid(one)) is not None for one in ordered)
        if not (end.left or end.ordered or end.resent) and done:
            return
    raise AssertionError("it goes on and on")


def check(site: Site, ordered: list[int]) -> None:
    brain = site.link.brain
    assert brain.offences == []
    assert sorted(brain.readings) == sorted(site.recorded)
    for one in ordered:
        assert brain.state_of(uid(one)) is ExecutionState.SUCCEEDED
        for name in site.pumps:
            assert len(brain.ends_of(uid(one), name)) == 1, "a task ends once"
    for pump in site.pumps.values():
        assert pump.written == [("setpoint", one) for one in ordered], "each order is one effect"
