"""Twelve promises, each the opposite of what happened to somebody: where each of them is tested.

- I1 no receipt is lost or counted twice: `test_invariants_accounts`, `test_courier`,
  `test_agent_exchange`. (rauc-hawkbit-updater #161: a result is lost with the link.)
- I2 what an agent saw beats what was presumed: `test_invariants_accounts`. (AWS IoT Jobs: what the
  server called TIMED_OUT stays so, and the result is refused.)
- I3 who is off never changes a share of failures: `test_rollout_gates`.
- I4 no limit is passed, whoever joins late: `test_rollout_gates`, `test_rollout_plays`.
- I5 what SUCCEEDED was checked since the last boot: here.
- I6 nothing begins too late or outside its window, whatever clocks say: here.
- I7 what is called off has one of four outcomes: `test_calling_off`.
- I8 a job that kills its agent holds up nobody: here.
- I9 what is kept or undone is not up to the link: here, `tests.simulation.test_firmware`.
- I10 the same seed and fleet give the same cohorts: `test_rollout_gates`.
- I11 an author's signature never approves his own work: `test_invariants_approvals`.
- I12 the coordinator's keys admit nothing guarded: `test_invariants_approvals`,
  `test_trust_machine`.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.actions.hand import Hand
from agent.actions.registry import ACTIONS
from agent.core.ports import StepOutcome
from agent.store.jobs import Planned
from shared import limits
from shared.clock import ClockState, WallMs
from shared.ids import DeviceId
from shared.model.job import TERMINAL_EXECUTION, ExecutionState, JobSpec, Step
from shared.model.plan import PostCheck
from shared.model.schedule import Window
from tests.agent_parts import MemoryDevice, admitted, uid
from tests.length import examples
from tests.simulation.cuts import Mortal, quick_folder
from tests.simulation.loop import START_WALL_MS, World, simulate
from tests.simulation.shop import PUMPS, Shop

PUMP = DeviceId("pump-1")
HOUR, DAY = 3600, 86_400
END_S = 3 * DAY
PLAYS = settings(max_examples=examples(40))


def write(name: str = "a", value: int = 9) -> Step:
    return Step(name, "device.write", {"setpoint": value})


async def order(
    shop: Shop, number: int, spec: JobSpec, *, not_after: int = START_WALL_MS + END_S * 1000
) -> None:
    """Order a job for the first pump."""
    shop.seq += 1
    bundle = admitted(shop.seq, (uid(number), spec), not_after=not_after)
    planned = [Planned(one, (PUMP,)) for one in bundle.jobs]
    await shop.jobs.admit(bundle, planned, now=shop.calendar.now())
    shop.executor.wake()


async def state_of(shop: Shop, number: int) -> ExecutionState:
    rows = await shop.file.read(
        lambda db: db.execute("SELECT state FROM execution WHERE id = ?", (uid(number),)).fetchall()
    )
    return ExecutionState(rows[0][0])


# --- I5 and I9: what succeeded was seen to work since the last boot, and nobody was asked ---------
@dataclass
class Watched(MemoryDevice):
    """A pump that remembers what was read from it, and when."""

    seen: list[tuple[float, float]] = field(default_factory=list)

    async def read(self, points: Sequence[str], **more: Any) -> Any:
        if "flow" in points:
            self.seen.append((asyncio.get_running_loop().time(), self.values["flow"]))
        return await super().read(points, **more)


TURNS = st.lists(
    st.tuples(
        st.integers(1, 700).map(lambda tenths: tenths / 1.7),
        st.sampled_from(["works", "fails", "kill", "power", "power"]),
    ),
    max_size=6,
).map(sorted)
"""Seconds since the order, and what happens then."""


async def _checked(world: World, turns: Sequence[tuple[float, str]], soak_s: int) -> None:
    with quick_folder() as folder:
        pump = Watched(PUMP)
        pumps = {one.id: MemoryDevice(one.id) for one in PUMPS} | {PUMP: pump}
        shop = await Mortal(world, folder, dict(ACTIONS), pumps=pumps).open()
        check = PostCheck("device.flow > 5", within_s=60, soak_s=soak_s, every_s=30)
        spec = JobSpec("a", [write()], post_check=check, compensation=[write("undo", 100)])
        try:
            began = booted = world.loop.time()
            await order(shop, 1, spec)
            for at_s, turn in [*turns, (2_000.0, "")]:
                while (state := await state_of(shop, 1)) not in TERMINAL_EXECUTION:
                    left_s = began + at_s - world.loop.time()
                    if left_s <= 0:
                        break
                    await asyncio.sleep(min(1.0, left_s))
                else:
                    _judge(pump, state, booted)
                    return
                if turn in {"works", "fails"}:
                    pump.values["flow"] = 7 if turn == "works" else 3
                elif turn:
                    booted = world.loop.time()
                    await shop.cut(power=turn == "power")
            raise AssertionError("without a coordinator it never came to an end")
        finally:
            await shop.close()


def _judge(pump: Watched, state: ExecutionState, booted: float) -> None:
    """Check an end against what was read from the device, which is all that anybody knows."""
    at_s, last = pump.seen[-1]
    if state is ExecutionState.SUCCEEDED:
        assert at_s >= booted, "nobody looked since the last boot"
        assert last > 5, "it did not hold when somebody looked last"
        assert pump.values["setpoint"] == 9
    else:
        assert state is ExecutionState.ROLLED_BACK
        assert any(flow <= 5 for _, flow in pump.seen), "it was undone though it always worked"
        assert pump.values["setpoint"] == 100


@PLAYS
@given(TURNS, st.sampled_from([0, 60, 200]))
def test_what_succeeded_was_seen_to_work_since_the_last_boot(turns, soak_s):
    """HawkBit #3185, ThingsBoard #10191: success is told before the boot that shows the failure.

    I9 with it: there is no coordinator here at all, and each job ends, confirmed or undone by what
    its device shows (Mender 3958: a connection that fails is taken for a reason to roll back).
    """
    simulate(lambda world: _checked(world, turns, soak_s), seed=1)


# --- I6: clocks ----------------------------------------------------------------------------------
@dataclass
class Noting:
    """An action that notes when it began."""

    begun: list[tuple[str, float]] = field(default_factory=list)
    name: str = "device.read"

    def check(self, step: Step, device: Any) -> None:
        return None

    async def run(self, step: Step, hand: Hand) -> StepOutcome:
        self.begun.append((step.id, asyncio.get_running_loop().time()))
        await asyncio.sleep(5)
        return StepOutcome()


NOON = Window("0 12 * * *", HOUR, "UTC")
CLOCKS = st.lists(
    st.tuples(
        st.integers(0, 70 * HOUR),
        st.sampled_from(["step", "step", "boot"]),
        st.integers(-400 * DAY, 2 * HOUR),
        st.sampled_from([ClockState.UNSYNCED, ClockState.STEPPED]),
    ),
    max_size=6,
).map(lambda moves: sorted(moves, key=lambda move: move[0]))
ORDERS = st.lists(st.tuples(st.booleans(), st.integers(1, 80 * HOUR)), min_size=1, max_size=5)
"""Whether with a window, and how long after the beginning it may begin at the latest."""


async def _clocked(world: World, moves: Sequence[Any], orders: Sequence[tuple[bool, int]]) -> None:
    noting = Noting()
    with quick_folder() as folder:
        shop = await Mortal(world, folder, {**ACTIONS, noting.name: noting}).open()
        began_s = world.loop.time()

        def truth_ms() -> WallMs:
            return WallMs(START_WALL_MS + int(world.loop.time() * 1000))

        try:
            shop.calendar.learn(truth_ms())
            for number, (windowed, last_s) in enumerate(orders):
                step = Step(f"s{number}", "device.read", {"points": ["flow"]})
                spec = JobSpec("a", [step], window=NOON if windowed else None, delay_s=HOUR)
                await order(shop, number + 1, spec, not_after=START_WALL_MS + last_s * 1000)
            for at_s, kind, by_s, state in moves:
                await asyncio.sleep(max(0.0, began_s + at_s - world.loop.time()))
                if kind == "boot":
                    await shop.cut(power=True)
                    world.clock.reboot(keeps_time=False)
                    # Its first contact tells it the time; until then nothing may be wrong either.
                    shop.calendar.learn(truth_ms())
                    shop.executor.wake()
                else:
                    world.clock.step(by_s * 1000, state=state)
            await asyncio.sleep(began_s + 4 * DAY - world.loop.time())
        finally:
            await shop.close()
    for name, at_s in noting.begun:
        windowed, last_s = orders[int(name[1:])]
        assert at_s <= last_s, f"{name} began {at_s - last_s} s too late"
        assert not windowed or 12 * HOUR <= at_s % DAY < 13 * HOUR, f"{name} began at {at_s}"
    for number, (windowed, last_s) in enumerate(orders):
        first = 12 * HOUR if windowed else HOUR
        if first + HOUR < last_s and not moves:
            assert f"s{number}" in dict(noting.begun), "it had an hour, and never began"


@PLAYS
@given(CLOCKS, ORDERS)
def test_no_clock_that_goes_back_lets_work_begin_too_late_or_outside_its_window(moves, orders):
    """Aktualizr #1185, python-tuf #12: what may still run is told by a clock that anybody sets."""
    simulate(lambda world: _clocked(world, moves, orders), seed=1)


# --- I8: poison ----------------------------------------------------------------------------------
@dataclass
class Poison:
    """An action that takes the whole agent down when it is told to."""

    died: asyncio.Event
    fatal: int = 0
    done: list[str] = field(default_factory=list)
    name: str = "device.read"

    def check(self, step: Step, device: Any) -> None:
        return None

    async def run(self, step: Step, hand: Hand) -> StepOutcome:
        if step.id == "poison":
            self.fatal += 1
            self.died.set()
            await asyncio.get_running_loop().create_future()
        await asyncio.sleep(1)
        self.done.append(step.id)
        return StepOutcome()


async def _poisoned(world: World, jobs: Sequence[tuple[bool, int]], power: Sequence[bool]) -> None:
    poison = Poison(asyncio.Event())
    with quick_folder() as folder:
        shop = await Mortal(world, folder, {**ACTIONS, poison.name: poison}).open()
        try:
            for number, (fatal, priority) in enumerate(jobs, start=1):
                step = Step("poison" if fatal else f"j{number}", poison.name, {"points": ["flow"]})
                await order(shop, number, JobSpec("a", [step], priority=priority))
            deaths = 0
            fatal_jobs = sum(fatal for fatal, _ in jobs)
            while deaths < fatal_jobs * limits.CRASHES:
                async with asyncio.timeout(DAY):
                    await poison.died.wait()
                poison.died.clear()
                await shop.cut(power=power[deaths % len(power)])
                deaths += 1
            await asyncio.sleep(HOUR)
            assert not poison.died.is_set(), "it began once more than it may"
            assert poison.fatal == deaths
            for number, (fatal, _) in enumerate(jobs, start=1):
                wanted = ExecutionState.QUARANTINED if fatal else ExecutionState.SUCCEEDED
                assert await state_of(shop, number) is wanted
            assert sorted(poison.done) == sorted(
                f"j{number}" for number, (fatal, _) in enumerate(jobs, start=1) if not fatal
            ), "each other job was done, once"
        finally:
            await shop.close()


@PLAYS
@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 3)), min_size=1, max_size=5),
    st.lists(st.booleans(), min_size=1, max_size=5),
)
def test_a_job_that_kills_its_agent_holds_up_nobody_for_longer_than_its_crashes(jobs, power):
    """Greengrass #1203, aws-iot-device-client #488: one such job blocks all that come after it."""
    simulate(lambda world: _poisoned(world, jobs, power), seed=1)
