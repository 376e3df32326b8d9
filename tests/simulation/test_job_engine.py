"""Whole jobs on virtual time: gates, conditions, checks that soak, safe points, deadlines."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from agent.actions.hand import Hand
from agent.core.ports import StepOutcome
from agent.services.gates import Gates
from agent.services.site_lock import SiteLock
from agent.store.jobs import Planned
from agent.store.jobs_file import NAME
from shared import limits
from shared.errors import Reason
from shared.ids import DeviceId
from shared.model import action as declared
from shared.model.action_parameters import ReadParameters
from shared.model.job import JobSpec, Step
from shared.model.plan import PostCheck
from shared.model.schedule import Window
from shared.model.spec_check import check_spec
from tests.agent_parts import admitted, read_job, uid
from tests.simulation.shop import Shop, SlowAction, play

PUMP = DeviceId("pump-1")
HOUR = 3600
End = Callable[[Shop], Awaitable[None]]


def write(name: str, value: int, **more: Any) -> Step:
    return Step(name, "device.write", {"setpoint": value}, **more)


def look(name: str = "look", **more: Any) -> Step:
    return Step(name, "device.read", {"points": ["flow"]}, **more)


async def order(
    shop: Shop, number: int, *steps: Step, not_after: int = 10**14, **spec: Any
) -> None:
    """Order a job for the first pump."""
    job = JobSpec(name="a", steps=list(steps), **spec)
    check_spec(job)
    shop.seq += 1
    bundle = admitted(shop.seq, (uid(number), job), not_after=not_after)
    await shop.jobs.admit(
        bundle, [Planned(one, (PUMP,)) for one in bundle.jobs], now=shop.calendar.now()
    )
    shop.executor.wake()


async def cancel(shop: Shop, number: int) -> None:
    from dataclasses import replace

    shop.seq += 1
    bundle = replace(admitted(shop.seq), cancels=(uid(number),))
    await shop.jobs.admit(bundle, [], now=shop.calendar.now())
    shop.executor.wake()


# --- gates ----------------------------------------------------------------------------------------
def test_work_waits_for_its_window_and_begins_when_it_opens(tmp_path: Path):
    async def scenario(shop: Shop) -> None:
        pump = shop.pumps[PUMP]
        zone_noon = Window("0 12 * * *", HOUR)
        await order(shop, 1, write("a", 7), window=zone_noon)
        await asyncio.sleep(1)
        held = shop.calendar.now().today_ms
        assert await shop.executions() == {"HELD": 1}
        await asyncio.sleep(25 * HOUR)
        assert pump.written == [("setpoint", 7)]
        assert await shop.executions() == {"SUCCEEDED": 1}
        assert held > 0

    play(tmp_path, scenario)


def test_work_waits_until_its_preconditions_hold(tmp_path: Path):
    async def scenario(shop: Shop) -> None:
        pump = shop.pumps[PUMP]
        await order(shop, 1, write("a", 7), preconditions=["battery > 40", "device.flow < 5"])
        await asyncio.sleep(HOUR)
        assert await shop.executions() == {"HELD": 1}
        shop.known["battery"] = 80
        await asyncio.sleep(HOUR)
        assert pump.written == []
        pump.values["flow"] = 3
        await asyncio.sleep(HOUR)
        assert pump.written == [("setpoint", 7)]

    play(tmp_path, scenario)


def test_a_locked_site_is_read_but_not_changed(tmp_path: Path):
    async def scenario(shop: Shop) -> None:
        shop.locked_ms = 600_000
        await order(shop, 1, write("a", 7))
        await order(shop, 2, look())
        await asyncio.sleep(10)
        assert await shop.executions() == {"HELD": 1, "SUCCEEDED": 1}
        shop.locked_ms = 0
        await asyncio.sleep(600)
        assert await shop.executions() == {"SUCCEEDED": 2}

    play(tmp_path, scenario)


# --- conditions and checks ------------------------------------------------------------------------
def test_a_step_looks_at_the_device_and_at_the_steps_before_it(tmp_path: Path):
    async def scenario(shop: Shop) -> None:
        pump = shop.pumps[PUMP]
        await order(
            shop,
            1,
            look(),
            write("low", 5, when="look.flow < 5"),
            write("high", 9, when="look.flow > 5 and device.kind == 'pump'"),
            write("other", 11, when="devices.pump-2.flow > 100"),
            write("same", 12, when="device.setpoint == 9 and devices.pump-2.flow == 7"),
        )
        await asyncio.sleep(5)
        assert pump.written == [("setpoint", 9), ("setpoint", 12)]

    play(tmp_path, scenario)


def test_what_regresses_while_it_soaks_is_undone(tmp_path: Path):
    async def scenario(shop: Shop) -> None:
        pump = shop.pumps[PUMP]
        check = PostCheck("device.flow > 5", soak_s=600, every_s=60)
        await order(shop, 1, write("a", 9), post_check=check, compensation=[write("undo", 100)])
        await asyncio.sleep(300)
        assert await shop.executions() == {"VERIFYING": 1}
        pump.values["flow"] = 1
        await asyncio.sleep(120)
        assert pump.values["setpoint"] == 100
        assert await shop.executions() == {"ROLLED_BACK": 1}
        told = [(r["state"], r["reason"]) for r in await shop.receipts(uid(1))]
        assert told[-1] == ("ROLLED_BACK", Reason.UNDONE)

    play(tmp_path, scenario)


def test_a_soak_holds_through_a_restart(tmp_path: Path):
    async def scenario(shop: Shop) -> None:
        check = PostCheck("device.flow > 5", soak_s=600, every_s=60)
        await order(shop, 1, write("a", 9), post_check=check)
        await asyncio.sleep(300)
        await shop.close()
        await shop.open()
        await asyncio.sleep(240)
        assert await shop.executions() == {"VERIFYING": 1}
        await asyncio.sleep(120)
        assert await shop.executions() == {"SUCCEEDED": 1}

    play(tmp_path, scenario)


def test_a_device_that_waits_for_a_check_is_free_for_others(tmp_path: Path):
    async def scenario(shop: Shop) -> None:
        check = PostCheck("device.flow > 5", soak_s=600, every_s=60)
        await order(shop, 1, write("a", 9), post_check=check)
        await asyncio.sleep(5)
        await order(shop, 2, look())
        await asyncio.sleep(5)
        assert await shop.executions() == {"VERIFYING": 1, "SUCCEEDED": 1}

    play(tmp_path, scenario)


# --- ends -----------------------------------------------------------------------------------------
def test_a_job_stops_at_the_next_safe_point_when_it_is_called_off(tmp_path: Path):
    slow = SlowAction()

    async def scenario(shop: Shop) -> None:
        await order(shop, 1, look("a"), look("b"), look("c"))
        await asyncio.sleep(15)
        await cancel(shop, 1)
        await asyncio.sleep(60)
        assert len(slow.begun) == 2, "the step in work comes to its end, no other begins"
        assert await shop.executions() == {"CANCELED": 1}
        [told] = [r for r in await shop.receipts(uid(1)) if r["device"]]
        assert told["detail"] == "stopped after b"

    play(tmp_path, scenario, slow=slow)


def test_a_whole_job_has_its_time_over_restarts(tmp_path: Path):
    slow = SlowAction(seconds=40)

    async def scenario(shop: Shop) -> None:
        steps = [look(name, timeout_s=60) for name in "abc"]
        await order(shop, 1, *steps, timeout_s=100)
        await asyncio.sleep(50)
        await shop.close()
        await shop.open()
        await asyncio.sleep(120)
        assert await shop.executions() == {"TIMED_OUT": 1}

    play(tmp_path, scenario, slow=slow)


def test_what_ran_out_of_time_is_undone_all_the_same(tmp_path: Path):
    slow = SlowAction(seconds=40)

    async def scenario(shop: Shop) -> None:
        steps = [look(name, timeout_s=60) for name in "abc"]
        undo = [write("undo", 100)]
        await order(shop, 1, *steps, timeout_s=100, compensation=undo, final_steps=[look("d")])
        await asyncio.sleep(200)
        assert await shop.executions() == {"ROLLED_BACK": 1}
        assert len(slow.begun) == 4

    play(tmp_path, scenario, slow=slow)


def test_after_a_restart_a_job_goes_on_with_the_step_it_was_at(tmp_path: Path):
    slow = SlowAction(seconds=10)

    async def scenario(shop: Shop) -> None:
        await order(shop, 1, look("a"), look("b"), look("c"))
        await asyncio.sleep(15)
        await shop.close()
        await shop.open()
        await asyncio.sleep(60)
        assert await shop.executions() == {"SUCCEEDED": 1}
        assert len(slow.begun) == 4, "b was cut off and begun again, a was not"

    play(tmp_path, scenario, slow=slow)


def test_a_shorter_lock_than_the_one_before_lets_work_go_on_at_its_end(tmp_path: Path):
    async def scenario(shop: Shop) -> None:
        lock = SiteLock(tmp_path / "lock", now=shop.calendar.now)
        lock.changed = shop.executor.release_held
        shop.executor._gates = Gates(shop.facts, zone="UTC", locked_ms=lock.left_ms)
        await lock.lock(7 * 24 * HOUR)
        await order(shop, 1, write("a", 7))
        await asyncio.sleep(60)
        await lock.lock(120)
        await asyncio.sleep(119)
        assert await shop.executions() == {"HELD": 1}
        await asyncio.sleep(2)
        assert await shop.executions() == {"SUCCEEDED": 1}

    play(tmp_path, scenario)


# --- what must not be done twice ------------------------------------------------------------------
@dataclass
class Pulse:
    """An effect that counts: closing a contact for a moment."""

    seconds: float = 2
    done: list[float] = field(default_factory=list)
    cut: int = 0
    name: str = "device.read"

    def check(self, step: Step, device: Any) -> None:
        return None

    async def run(self, step: Step, driver: Hand) -> StepOutcome:
        try:
            await asyncio.sleep(self.seconds)
        except asyncio.CancelledError:
            self.cut += 1
            raise
        self.done.append(asyncio.get_running_loop().time())
        return StepOutcome()


@pytest.fixture
def hazardous(monkeypatch: pytest.MonkeyPatch) -> None:
    """`device.read` counts as an effect that must not happen twice."""
    kind = declared.ActionKind(ReadParameters, "a pulse", idempotent=False)
    monkeypatch.setattr(declared, "ACTIONS", {**declared.ACTIONS, "device.read": kind})
    monkeypatch.setattr("agent.services.step_runner.DECLARED", declared.ACTIONS)


def test_a_stop_lets_an_effect_come_to_its_end(tmp_path: Path, hazardous: None):
    pulse = Pulse(seconds=2)

    async def scenario(shop: Shop) -> None:
        await order(shop, 1, look("a"), look("b"))
        await asyncio.sleep(1)
        await shop.close()
        assert (len(pulse.done), pulse.cut) == (1, 0)
        await shop.open()
        await asyncio.sleep(10)
        assert len(pulse.done) == 2, "a was done once, and then b"
        assert await shop.executions() == {"SUCCEEDED": 1}

    play(tmp_path, scenario, pulse=pulse)


def test_an_effect_that_a_stop_had_to_cut_is_told_as_unknown(tmp_path: Path, hazardous: None):
    pulse = Pulse(seconds=60)

    async def scenario(shop: Shop) -> None:
        await order(shop, 1, look("a", timeout_s=90))
        await asyncio.sleep(1)
        await shop.close()
        assert (len(pulse.done), pulse.cut) == (0, 1)
        await shop.open()
        await asyncio.sleep(100)
        assert pulse.cut == 1, "it is not tried again"
        [told] = [r for r in await shop.receipts(uid(1)) if r["device"]]
        assert told["reason"] == Reason.UNKNOWN_EFFECT

    play(tmp_path, scenario, pulse=pulse)


def test_an_effect_that_never_answers_is_told_as_unknown(tmp_path: Path, hazardous: None):
    from shared.model.job import Retry

    pulse = Pulse(seconds=60)

    async def scenario(shop: Shop) -> None:
        await order(shop, 1, look("a", timeout_s=5, retries=3), retry=Retry(failed=3))
        await asyncio.sleep(4 * HOUR)
        assert pulse.cut == 1
        assert await shop.executions() == {"FAILED": 1}
        [told] = [r for r in await shop.receipts(uid(1)) if r["device"]]
        assert told["reason"] == Reason.UNKNOWN_EFFECT

    play(tmp_path, scenario, pulse=pulse)


def test_an_effect_whose_answer_is_lost_is_not_tried_again(tmp_path: Path, hazardous: None):
    from shared.model.job import Retry

    silent = StepOutcome(Reason.DEVICE_SILENT, "no answer")
    slow = SlowAction(seconds=1, fails=[silent] * 9)

    async def scenario(shop: Shop) -> None:
        await order(shop, 1, look("a", retries=3), retry=Retry(failed=3))
        await asyncio.sleep(4 * HOUR)
        assert len(slow.begun) == 1
        [told] = [r for r in await shop.receipts(uid(1)) if r["device"]]
        assert told["reason"] == Reason.UNKNOWN_EFFECT

    play(tmp_path, scenario, slow=slow)


@pytest.mark.parametrize("how", ["at once", "after a restart", "after a crash"])
def test_last_steps_are_begun_once_also_when_the_job_is_called_off_meanwhile(
    tmp_path: Path, hazardous: None, how: str
):
    pulse = Pulse(seconds=10)

    async def scenario(shop: Shop) -> None:
        await order(shop, 1, write("a", 7), final_steps=[look("y"), look("z")])
        await asyncio.sleep(15)
        assert len(pulse.done) == 1, "y is done, z is at work"
        if how == "after a restart":
            await shop.close()
            await shop.open()
        await cancel(shop, 1)
        if how == "after a crash":
            await crash(shop)
        await asyncio.sleep(HOUR)
        assert len(pulse.done) + pulse.cut == 2
        assert await shop.executions() == {"SUCCEEDED": 1}, "its steps were done"

    play(tmp_path, scenario, pulse=pulse)


# --- cut off in the middle of it ------------------------------------------------------------------
async def crash(shop: Shop) -> None:
    """End the process without a last word: nothing is given back."""
    image = await shop.file.read(lambda db: db.serialize())
    await shop.close()
    (shop.folder / NAME).write_bytes(image)
    for suffix in ("-wal", "-shm"):
        Path(f"{shop.folder / NAME}{suffix}").unlink(missing_ok=True)
    await shop.open()


async def restart(shop: Shop) -> None:
    """Stop in order, begin anew."""
    await shop.close()
    await shop.open()


ENDS = pytest.mark.parametrize("end", [crash, restart], ids=["crash", "stop"])


@ENDS
def test_after_an_effect_that_was_cut_undoing_and_last_steps_follow(
    tmp_path: Path, hazardous: None, end: End
):
    pulse = Pulse(seconds=60)

    async def scenario(shop: Shop) -> None:
        last: Any = {"compensation": [write("undo", 3)], "final_steps": [write("note", 55)]}
        await order(shop, 1, look("a", timeout_s=90), write("b", 7), **last)
        await asyncio.sleep(1)
        await end(shop)
        await asyncio.sleep(HOUR)
        assert (pulse.done, pulse.cut) == ([], 1), "it is not tried again"
        assert shop.pumps[PUMP].written == [("setpoint", 3), ("setpoint", 55)]
        assert await shop.executions() == {"ROLLED_BACK": 1}
        [told] = [r for r in await shop.receipts(uid(1)) if r["device"]]
        assert told["detail"].startswith("unknown_effect: a: cut off")
        assert told["result"]["a.reason"] == "unknown_effect"

    play(tmp_path, scenario, pulse=pulse)


@ENDS
def test_after_an_effect_that_was_cut_a_job_goes_on_where_it_says_so(
    tmp_path: Path, hazardous: None, end: End
):
    pulse = Pulse(seconds=60)

    async def scenario(shop: Shop) -> None:
        steps = [look("a", timeout_s=90, on_failure="goto:c"), write("b", 7)]
        await order(shop, 1, *steps, write("c", 8, when="not a.ok"))
        await asyncio.sleep(1)
        await end(shop)
        await asyncio.sleep(HOUR)
        assert (pulse.done, pulse.cut) == ([], 1)
        assert shop.pumps[PUMP].written == [("setpoint", 8)]
        assert await shop.executions() == {"SUCCEEDED": 1}
        [told] = [r for r in await shop.receipts(uid(1)) if r["device"]]
        assert told["result"]["a.reason"] == "unknown_effect"

    play(tmp_path, scenario, pulse=pulse)


def test_a_job_that_was_called_off_and_cut_does_its_last_steps(tmp_path: Path):
    slow = SlowAction(seconds=30)

    async def scenario(shop: Shop) -> None:
        await order(shop, 1, look("a", timeout_s=60), final_steps=[write("note", 55)])
        await asyncio.sleep(1)
        await cancel(shop, 1)
        await crash(shop)
        await asyncio.sleep(HOUR)
        assert shop.pumps[PUMP].written == [("setpoint", 55)]
        assert await shop.executions() == {"CANCELED": 1}

    play(tmp_path, scenario, slow=slow)


def test_what_takes_its_agent_down_is_put_in_order_and_has_one_chance_for_that(tmp_path: Path):
    slow = SlowAction(seconds=30)

    async def scenario(shop: Shop) -> None:
        last: Any = {"compensation": [write("undo", 3)], "final_steps": [write("note", 55)]}
        await order(shop, 1, look("a", timeout_s=60), **last)
        await order(shop, 2, look("b", timeout_s=60), final_steps=[look("c"), write("d", 9)])
        for _ in range(limits.CRASHES):
            await asyncio.sleep(1)
            await crash(shop)
        await asyncio.sleep(1)
        assert shop.pumps[PUMP].written == [("setpoint", 3), ("setpoint", 55)]
        assert await shop.executions() == {"QUARANTINED": 1, "IN_PROGRESS": 1}
        for _ in range(limits.CRASHES):
            await crash(shop)
            await asyncio.sleep(1)
        assert await shop.executions() == {"QUARANTINED": 1, "IN_PROGRESS": 1}
        await crash(shop)
        await asyncio.sleep(HOUR)
        assert await shop.executions() == {"QUARANTINED": 2}
        assert len(slow.begun) == 2 * limits.CRASHES + 1
        assert shop.pumps[PUMP].written[2:] == [], "c took it down once more: d is left out"

    play(tmp_path, scenario, slow=slow)


def test_a_job_of_the_agent_itself_has_one_task_and_no_device():
    from agent.actions.registry import check_step
    from agent.core.queue import plan_job

    spec = JobSpec("x", [Step("h", "agent.health")])
    assert plan_job(spec, [], check_step) == ("",)
    assert plan_job(read_job("flow"), [], check_step) != ("",)
