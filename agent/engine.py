"""The job engine, composed: queue, executor, schedules, rules and the lock of the site.

Beside `agent.app` and `agent.sticks` the third place that names concrete classes, so that each of
them fits on a few screens.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from agent.actions.hand import MayWrite
from agent.actions.registry import ACTIONS, check_step
from agent.core.device import DeviceSettings
from agent.core.ports import Driver
from agent.core.settings import ScriptSettings
from agent.services.box import Box
from agent.services.calendar import Calendar
from agent.services.caretaker import Caretaker
from agent.services.control import Talk
from agent.services.executor import Executor, Permit
from agent.services.facts import Facts
from agent.services.gates import Gates
from agent.services.restorer import Restorer
from agent.services.rule_watch import RuleWatch
from agent.services.scripts import ScriptHash, Scripts
from agent.services.site_lock import SiteLock
from agent.services.standing import StandingJobs, planner
from agent.services.step_runner import StepRunner
from agent.store.caretaker import CaretakerStore
from agent.store.devices import DeviceMemory
from agent.store.jobs import JobStore
from agent.store.jobs_file import JobsFile
from agent.store.standing import StandingStore
from shared.clock import Clock, Entropy
from shared.ids import DeviceId
from shared.model.job import Value
from shared.runtime.service import Service

Devices = Mapping[DeviceId, tuple[DeviceSettings, Driver]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Where the engine works."""

    agent: str
    """This agent's id."""
    data_dir: Path
    """Where the lock of the site is kept."""
    zone: str
    """By its IANA name."""
    metered: bool
    """Bytes on the link cost."""
    link: Callable[[], Mapping[str, Value]]
    """Tells ``link.up`` and ``link.silent_s`` as far as they are known."""
    scripts: ScriptSettings | None = None
    """Where scripts lie that jobs may run; None: they may run none."""


@dataclass(frozen=True, slots=True)
class Engine:
    """What turns orders into effects, also when nobody is there."""

    executor: Executor
    standing: StandingJobs
    restorer: Restorer
    caretaker: Caretaker
    lock: SiteLock
    runner: StepRunner

    @property
    def services(self) -> list[Service]:
        """Return what has to run."""
        return [self.executor, self.standing, self.restorer, self.caretaker]

    @property
    def talks(self) -> dict[str, Talk]:
        """Return what a technician may ask for, by word."""
        return {"lock": self.lock.talk_lock, "unlock": self.lock.talk_unlock}

    def wake(self) -> None:
        """Look at the orders: some came, or were called off."""
        self.executor.wake()
        self.standing.wake()


def make_engine(
    file: JobsFile,
    devices: Devices,
    site: Site,
    *,
    calendar: Calendar,
    clock: Clock,
    entropy: Entropy,
    permits: tuple[Permit, MayWrite, ScriptHash],
    bells: tuple[Callable[[], None], Callable[[], None]],
) -> Engine:
    """Return the engine over a jobs.db.

    Args:
        file: the open jobs.db.
        devices: every device with its driver.
        site: where it works.
        calendar: the agent's date.
        clock: what it is read from.
        entropy: spreads retries.
        permits: say why an attempt may not begin at all, why a write is not allowed, and which
            script is.
        bells: called when receipts were written, and when something urgent was.
    """
    told, alarmed = bells
    permit, may_write, script_hash = permits
    ground = _Ground(file, devices, site, calendar, entropy)
    lock = SiteLock(site.data_dir / "site_lock", now=calendar.now)
    box = Box(site.data_dir, metered=site.metered, clock=clock, link=site.link)
    known = box.facts_with(agent=site.agent, locked=lock.left_ms)
    facts = Facts(devices, known)
    caretaker = ground.caretaker(known, script_hash)
    runner = ground.runner(caretaker, may_write)
    restorer = ground.restorer(runner, lock, told)
    executor = Executor(
        ground.jobs,
        runner=runner,
        facts=facts,
        gates=Gates(facts, zone=site.zone, locked_ms=lock.left_ms),
        now=calendar.now,
        entropy=entropy,
        told=told,
        permit=permit,
    )

    def unlocked() -> None:
        executor.release_held()
        restorer.wake()

    lock.changed = unlocked
    standing = ground.standing(known, alarmed, fired=executor.wake)
    calendar.watch(standing.wake)
    calendar.watch(executor.set_right)
    return Engine(executor, standing, restorer, caretaker, lock, runner)


class _Ground:
    """What every part of an engine stands on, and the parts that need little else."""

    def __init__(
        self, file: JobsFile, devices: Devices, site: Site, calendar: Calendar, entropy: Entropy
    ) -> None:
        self._file, self._devices, self._site = file, devices, site
        self._now, self._entropy = calendar.now, entropy
        self.jobs = JobStore(file)
        self._memory = DeviceMemory(file, now=calendar.now)

    def caretaker(self, known: Callable[[], Mapping[str, Value]], named: ScriptHash) -> Caretaker:
        caretaker = Caretaker(
            self._site.data_dir,
            CaretakerStore(self._file),
            self.jobs,
            facts=known,
            now=self._now,
            entropy=self._entropy,
        )
        if self._site.scripts is not None:
            caretaker.scripts = Scripts(self._site.scripts, named=named)
        return caretaker

    def runner(self, caretaker: Caretaker, may_write: MayWrite) -> StepRunner:
        return StepRunner(
            self.jobs,
            devices=self._devices,
            actions=ACTIONS,
            memory=self._memory,
            may_write=may_write,
            caretaker=caretaker,
            now=self._now,
        )

    def restorer(self, runner: StepRunner, lock: SiteLock, told: Callable[[], None]) -> Restorer:
        return Restorer(
            self._memory,
            devices=self._devices,
            lane=runner.lane,
            locked_ms=lock.left_ms,
            now=self._now,
            told=told,
        )

    def standing(
        self,
        known: Callable[[], Mapping[str, Value]],
        alarmed: Callable[[], None],
        *,
        fired: Callable[[], None],
    ) -> StandingJobs:
        store = StandingStore(self._file)
        plan = planner([settings for settings, _ in self._devices.values()], check_step)
        return StandingJobs(
            store,
            rules=RuleWatch(store, plan=plan, facts=known, alarmed=alarmed),
            plan=plan,
            now=self._now,
            zone=self._site.zone,
            agent=self._site.agent,
            fired=fired,
        )
