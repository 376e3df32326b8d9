"""What becomes of a job that is stopped, killed or called off in the middle of an effect."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from agent.actions.hand import Hand
from agent.core.ports import StepOutcome
from agent.store.jobs_file import NAME
from shared import limits
from shared.errors import Reason
from shared.model import action as declared
from shared.model.action_parameters import ReadParameters
from shared.model.job import Step
from tests.agent_parts import uid
from tests.simulation.shop import Shop, SlowAction, play
from tests.simulation.test_job_engine import HOUR, PUMP, cancel, look, order, write

End = Callable[[Shop], Awaitable[None]]


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
