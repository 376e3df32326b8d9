"""Jobs whose agent dies again and again: after any commit, in the middle of any effect.

Whatever the jobs are and wherever the process is cut off: no task goes where none may go, none is
lost, an effect that must not happen twice never does, and what receipts tell is what the devices
counted, or `unknown_effect`.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.actions.registry import ACTIONS, check_step
from agent.core.queue import plan_job
from agent.store.jobs import Planned
from coordinator.core.reconcile import Known, fold
from shared import limits
from shared.errors import Reason
from shared.ids import uuid_text
from shared.model.job import (
    TERMINAL_EXECUTION,
    TERMINAL_TASK,
    ExecutionState,
    JobSpec,
    Retry,
    Step,
    Targets,
    TaskState,
    may_follow,
)
from shared.model.plan import Batch, Dependency, PostCheck
from shared.wire.codec import unpack
from shared.wire.messages import Receipt
from tests.agent_parts import admitted, uid
from tests.length import examples
from tests.property.job_plots import DAY, NOT_AFTER_MS, OK, SILENT, Event, Plot, plots
from tests.simulation.cuts import (
    HARMLESS,
    HAZARDOUS,
    Mortal,
    Script,
    hazardous_reads,
    quick_folder,
)
from tests.simulation.loop import World, simulate
from tests.simulation.shop import PUMPS


@dataclass
class Story:
    """What became of a plot."""

    effects: Mapping[tuple[str, str], int]
    receipts: list[Receipt]
    executions: dict[bytes, ExecutionState]
    tasks: dict[tuple[bytes, str], TaskState]
    commits: int
    moments: list[float] = field(default_factory=list)
    """When an effect was halfway, on the clock of the loop."""


# --- what happens ---------------------------------------------------------------------------------
class Fate:
    """Leads a shop through a plot, over all its deaths."""

    def __init__(self, shop: Mortal, plot: Plot) -> None:
        self.shop, self.plot = shop, plot
        self.seq = 0

    async def lead(self) -> None:
        begins: list[tuple[float, int, Event | None]]
        begins = [(at, number, None) for number, at in enumerate(self.plot.starts_s)]
        happens = [(one.at_s, number, one) for number, one in enumerate(self.plot.events)]
        for at_s, number, event in sorted([*begins, *happens], key=lambda one: one[0]):
            await self.wait_until(at_s)
            if event is None:
                await self.order(number)
            else:
                await self.suffer(event)
        for day in range(1, 15):
            await self.wait_until(day * DAY)
            if all(state in TERMINAL_EXECUTION for state in (await executions(self.shop)).values()):
                return

    async def wait_until(self, at_s: float) -> None:
        left = at_s - self.shop.world.loop.time()
        if left > 0:
            await self.through(lambda: asyncio.sleep(left))
            await self.wait_until(at_s)

    async def through(self, work: Callable[[], Coroutine[Any, Any, Any]]) -> bool:
        """Do something unless the process dies over it; tell whether it lived."""
        doing, dying = (
            asyncio.create_task(work()),
            asyncio.create_task(self.shop.mortal.died.wait()),
        )
        await asyncio.wait((doing, dying), return_when=asyncio.FIRST_COMPLETED)
        if lived := not self.shop.mortal.dead:
            dying.cancel()
            await doing
        else:
            doing.cancel()
            await asyncio.wait((doing,))
            await self.shop.cut(power=self.plot.cuts.get(self.shop.mortal.commits, False))
        return lived

    async def order(self, number: int) -> None:
        self.seq += 1
        bundle = admitted(self.seq, (uid(number + 1), self.plot.jobs[number]))
        jobs = [replace(one, job=uid(number + 1), not_after_ms=NOT_AFTER_MS) for one in bundle.jobs]
        await self.admit(replace(bundle, jobs=tuple(jobs)))

    async def admit(self, bundle: Any) -> None:
        planned = [Planned(job, plan_job(job.spec, PUMPS, check_step)) for job in bundle.jobs]

        async def deliver() -> None:
            shop = self.shop
            await shop.jobs.admit(bundle, planned, now=shop.calendar.now())
            shop.executor.wake()

        # The coordinator sends it again until it knows that it came.
        while not await self.through(deliver):
            continue

    async def suffer(self, event: Event) -> None:
        if event.kind == "cancel":
            self.seq += 1
            await self.admit(replace(admitted(self.seq), cancels=(uid(event.job + 1),)))
        elif event.kind == "stop":
            if await self.through(self.shop.stop):
                await self.shop.file.close()
                self.shop.commits, self.shop.image = self.shop.mortal.commits, b""
                await self.shop.open()
        else:
            await self.shop.cut(power=event.kind == "power")


async def executions(shop: Mortal) -> dict[bytes, ExecutionState]:
    rows = await shop.file.read(lambda db: db.execute("SELECT id, state FROM execution").fetchall())
    return {uid: ExecutionState(state) for uid, state in rows}


def play(plot: Plot) -> Story:
    """Let a plot happen and return what is known at its end."""
    hazardous, harmless = (Script(name, plot.ends, plot.seconds) for name in (HAZARDOUS, HARMLESS))

    async def scenario(world: World) -> Story:
        with quick_folder() as folder:
            actions = {**ACTIONS, HAZARDOUS: hazardous, HARMLESS: harmless}
            shop = Mortal(world, folder, actions)
            shop.cuts = frozenset(plot.cuts)
            await shop.open()
            try:
                for pump in shop.pumps.values():
                    pump.values["flow"] = plot.flow
                await Fate(shop, plot).lead()
                shop.mortal.cuts = frozenset()
                story = await _story(shop, {**hazardous.effects, **harmless.effects})
                return replace(story, moments=[*hazardous.moments, *harmless.moments])
            finally:
                shop.mortal.dead, shop.mortal.cuts = False, frozenset()
                try:
                    await shop.stop()
                finally:
                    await shop.file.close()

    with hazardous_reads():
        return simulate(scenario, seed=1)


async def _story(shop: Mortal, effects: Mapping[tuple[str, str], int]) -> Story:
    tasks = await shop.file.read(
        lambda db: db.execute(
            "SELECT id, device, task.state FROM task JOIN execution"
            " ON execution.number = task.execution"
        ).fetchall()
    )
    bodies = await shop.file.read(
        lambda db: db.execute("SELECT body FROM outbox ORDER BY number").fetchall()
    )
    return Story(
        effects,
        [unpack(body, Receipt, bound=limits.REPORT_BYTES) for (body,) in bodies],
        await executions(shop),
        {(one, device): TaskState(state) for one, device, state in tasks},
        shop.mortal.commits,
    )


# --- what must be true ----------------------------------------------------------------------------
def check(plot: Plot, story: Story) -> None:
    """Check everything that holds whatever happened."""
    assert len(story.executions) == len(plot.jobs), "an order was lost"
    for number, spec in enumerate(plot.jobs):
        one = uid(number + 1)
        assert story.executions[one] in TERMINAL_EXECUTION, (number, story.executions[one])
        told = [receipt for receipt in story.receipts if receipt.execution == one]
        _check_walk([ExecutionState(r.state) for r in told if not r.device], story.executions[one])
        tasks = {device: state for (uid_, device), state in story.tasks.items() if uid_ == one}
        ends = {r.device: r for r in told if r.device}
        assert {device: TaskState(end.state) for device, end in ends.items()} == tasks
        assert len([r for r in told if r.device]) == len(tasks), "each end is told once"
        assert set(tasks.values()) <= TERMINAL_TASK
        for device, end in ends.items():
            _check_effects(spec, device, end, plot, story)
        _check_nothing_done(spec, told, story)


def _check_walk(states: Sequence[ExecutionState], end: ExecutionState) -> None:
    before = ExecutionState.QUEUED
    for state in states:
        assert may_follow(before, state), states
        before = state
    assert before is end


def _check_effects(spec: JobSpec, device: str, end: Receipt, plot: Plot, story: Story) -> None:
    for step in spec.every_step:
        count = story.effects.get((device, step.id), 0)
        if step.action == HAZARDOUS:
            assert count <= 1, f"{step.id} on {device} happened {count} times"
            unknown = {end.reason, end.result.get(f"{step.id}.reason")} & {
                Reason.UNKNOWN_EFFECT,
                Reason.UNKNOWN_EFFECT.text,
            }
            assert unknown or count == end.result.get(f"{step.id}.done", 0), (step.id, end)
        usual = all(one is OK for one in plot.ends.get(step.id, [])) and step.id not in plot.seconds
        if end.state is TaskState.DONE and usual and step not in spec.compensation:
            assert count >= 1, f"{step.id} was never done on {device}"


def _check_nothing_done(spec: JobSpec, told: Sequence[Receipt], story: Story) -> None:
    last = [receipt for receipt in told if not receipt.device][-1]
    untouched = last.result.get("cancel") in {"not_started", "never_delivered"}
    if untouched or last.state in {ExecutionState.EXPIRED, ExecutionState.REJECTED}:
        ids = {step.id for step in spec.every_step}
        done = {key: count for key, count in story.effects.items() if key[1] in ids}
        assert not done, f"{last} and yet {done}"


# A play of hundreds of commits, not a value: as many in every profile.
@settings(max_examples=examples(50))
@given(plots(), st.randoms(use_true_random=False))
def test_no_cut_loses_a_task_or_repeats_an_effect_or_makes_a_receipt_lie(plot: Plot, order: Any):
    story = play(plot)
    check(plot, story)
    arrivals = [*story.receipts, *story.receipts[::3]]
    order.shuffle(arrivals)
    for number in range(len(plot.jobs)):
        one = uid(number + 1)
        known = Known(state=ExecutionState.QUEUED)
        for receipt in arrivals:
            if receipt.execution == one:
                known = fold(known, [receipt], epoch=1)
        assert known.state is story.executions[one]
        tasks = {device: state for (uid_, device), state in story.tasks.items() if uid_ == one}
        assert {device: task.state for device, task in known.tasks.items()} == tasks


def _full_plot() -> Plot:
    """Return jobs that have everything: several devices, a canary, a check, undoing, a follower."""
    both = Targets(device_selector="kind=pump")
    first = JobSpec(
        "first",
        [
            Step("a", HAZARDOUS, {"points": ["flow"]}),
            Step("b", HARMLESS, {"setpoint": 1}),
            Step("c", HAZARDOUS, {"points": ["flow"]}),
        ],
        targets=both,
        retry=Retry(failed=1, initial_s=60, max_s=60),
        post_check=PostCheck("device.flow > 5", soak_s=60, every_s=30),
        final_steps=[Step("z", HARMLESS, {"setpoint": 2})],
        batch=Batch(canary=1),
    )
    second = JobSpec(
        "second",
        [Step("d", HAZARDOUS, {"points": ["flow"]}), Step("e", HARMLESS, {"setpoint": 1})],
        targets=both,
        compensation=[Step("u", HAZARDOUS, {"points": ["flow"]})],
        after=Dependency(uuid_text(uid(1))),
    )
    return Plot([first, second], [0, 1], ends={"b": [SILENT, OK], "e": [SILENT]})


@pytest.mark.slow
def test_a_cut_after_every_single_commit_is_survived():
    whole = play(_full_plot())
    check(_full_plot(), whole)
    assert set(whole.executions.values()) == {
        ExecutionState.SUCCEEDED,
        ExecutionState.ROLLED_BACK,
    }
    assert whole.commits > 40
    for commit in range(1, whole.commits + 1):
        for power in (False, True):
            plot = replace(_full_plot(), cuts={commit: power})
            check(plot, play(plot))


def test_a_failed_check_repeats_no_effect():
    job = JobSpec(
        "checked",
        [Step("a", HAZARDOUS, {"points": ["flow"]})],
        retry=Retry(failed=2, initial_s=60, max_s=60),
        post_check=PostCheck("device.flow > 5", within_s=60, every_s=30),
    )
    plot = Plot([job], [0], flow=3)
    story = play(plot)
    check(plot, story)
    assert story.executions == {uid(1): ExecutionState.FAILED}


def test_a_power_cut_in_the_middle_of_any_effect_is_survived():
    # Right before and right after it happens: an effect is two seconds long, its middle is known
    # from a play in which nothing goes wrong, and that one is the same until the cut.
    moments = sorted(play(_full_plot()).moments)
    assert len(moments) >= 15
    for moment in moments:
        for at_s in (moment - 0.3, moment + 0.3):
            plot = replace(_full_plot(), events=[Event(at_s, "power")])
            check(plot, play(plot))
