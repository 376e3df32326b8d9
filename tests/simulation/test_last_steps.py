"""What a job does before it ends although nobody wants it any more, or its time is over."""

import asyncio
from pathlib import Path

from agent.core.moment import Moment
from agent.core.ports import StepOutcome
from agent.store.execution_rows import ExecutionRows
from agent.store.outbox import Fact
from shared.errors import Reason
from shared.model.job import ExecutionState, Retry
from shared.model.plan import PostCheck
from tests.agent_parts import uid
from tests.simulation.shop import Shop, SlowAction, play
from tests.simulation.test_job_engine import HOUR, PUMP, cancel, look, order, write

SILENT = StepOutcome(Reason.DEVICE_SILENT)
LATER = Retry(failed=3, initial_s=HOUR, max_s=HOUR)
NOTE = write("note", 55)


def test_a_job_that_is_called_off_at_work_does_its_last_steps(tmp_path: Path):
    async def scenario(shop: Shop) -> None:
        await order(shop, 1, look("a"), look("b"), final_steps=[NOTE], compensation=[write("c", 3)])
        await asyncio.sleep(5)
        await cancel(shop, 1)
        await asyncio.sleep(60)
        assert shop.pumps[PUMP].written == [("setpoint", 55)], "nothing failed, nothing is undone"
        assert await shop.executions() == {"CANCELED": 1}
        task, whole = (await shop.receipts(uid(1)))[-2:]
        assert task["detail"] == "stopped after a"
        assert whole["result"] == {"cancel": "stopped"}

    play(tmp_path, scenario, slow=SlowAction())


def test_a_job_that_is_called_off_before_its_first_step_does_none(tmp_path: Path):
    async def scenario(shop: Shop) -> None:
        await order(shop, 1, look("a"), final_steps=[NOTE], delay_s=HOUR)
        await asyncio.sleep(5)
        await cancel(shop, 1)
        await asyncio.sleep(2 * HOUR)
        assert shop.pumps[PUMP].written == []
        whole = (await shop.receipts(uid(1)))[-1]
        assert (whole["state"], whole["result"]) == ("CANCELED", {"cancel": "not_started"})

    play(tmp_path, scenario)


def test_a_job_that_is_called_off_between_two_attempts_does_its_last_steps(tmp_path: Path):
    slow = SlowAction(fails=[StepOutcome(), SILENT])

    async def scenario(shop: Shop) -> None:
        await order(shop, 1, look("a"), look("b"), final_steps=[NOTE], retry=LATER)
        await asyncio.sleep(30)
        assert await shop.executions() == {"HELD": 1}
        await cancel(shop, 1)
        await asyncio.sleep(5)
        assert shop.pumps[PUMP].written == [("setpoint", 55)], "at once, not when it was due"
        assert await shop.executions() == {"CANCELED": 1}
        assert len(slow.begun) == 2

    play(tmp_path, scenario, slow=slow)


def test_a_job_that_is_called_off_in_a_step_that_fails_does_its_last_steps(tmp_path: Path):
    slow = SlowAction(fails=[StepOutcome(), SILENT])

    async def scenario(shop: Shop) -> None:
        await order(shop, 1, look("a"), look("b"), final_steps=[NOTE], retry=LATER)
        await asyncio.sleep(15)
        await cancel(shop, 1)
        await asyncio.sleep(10)
        assert shop.pumps[PUMP].written == [("setpoint", 55)], "at once, not when it was due"
        assert await shop.executions() == {"CANCELED": 1}

    play(tmp_path, scenario, slow=slow)


def test_a_job_whose_place_is_taken_between_two_attempts_does_its_last_steps(tmp_path: Path):
    slow = SlowAction(fails=[StepOutcome(), SILENT])

    async def scenario(shop: Shop) -> None:
        await order(
            shop, 1, look("a"), look("b"), final_steps=[NOTE], retry=LATER, conflict_key="setpoint"
        )
        await asyncio.sleep(30)
        await order(shop, 2, write("a", 10), conflict_key="setpoint")
        await asyncio.sleep(30)
        assert shop.pumps[PUMP].written == [("setpoint", value) for value in (55, 10)]
        assert await shop.executions() == {"SUPERSEDED": 1, "SUCCEEDED": 1}

    play(tmp_path, scenario, slow=slow)


def test_a_job_whose_time_is_over_between_two_attempts_is_undone(tmp_path: Path):
    slow = SlowAction(fails=[StepOutcome(), SILENT])

    async def scenario(shop: Shop) -> None:
        end = shop.calendar.now().today_ms + 60_000
        undo = {"compensation": [write("undo", 77)], "final_steps": [NOTE]}
        await order(shop, 1, look("a"), look("b"), retry=LATER, not_after=end, **undo)
        await asyncio.sleep(2 * HOUR)
        assert shop.pumps[PUMP].written == [("setpoint", 77), ("setpoint", 55)]
        assert await shop.executions() == {"ROLLED_BACK": 1}
        [task] = [one for one in await shop.receipts(uid(1)) if one["device"]]
        assert task["detail"] == "job_expired: not_after has passed"

    play(tmp_path, scenario, slow=slow)


def test_undoing_that_a_restart_cut_is_finished_also_past_the_end_of_its_time(tmp_path: Path):
    slow = SlowAction(seconds=30, fails=[StepOutcome(), SILENT])

    async def scenario(shop: Shop) -> None:
        end = shop.calendar.now().today_ms + 70_000
        undo = {"compensation": [look("u", timeout_s=60), write("undo", 77)]}
        steps = [look(name, timeout_s=60) for name in "ab"]
        await order(shop, 1, *steps, not_after=end, **undo)
        await asyncio.sleep(65)
        await shop.close()
        await asyncio.sleep(HOUR)
        await shop.open()
        await asyncio.sleep(60)
        assert shop.pumps[PUMP].written == [("setpoint", 77)]
        assert await shop.executions() == {"ROLLED_BACK": 1}

    play(tmp_path, scenario, slow=slow)


def test_an_execution_never_walks_backwards(tmp_path: Path):
    async def scenario(shop: Shop) -> None:
        check = PostCheck("device.flow > 5", soak_s=HOUR, every_s=60)
        await order(shop, 1, write("a", 9), post_check=check)
        await asyncio.sleep(30)
        told = await shop.receipts(uid(1))
        assert told[-1]["state"] == "VERIFYING"

        def work(db) -> None:
            now: Moment = shop.calendar.now()
            for state in (ExecutionState.DELIVERED, ExecutionState.QUEUED):
                ExecutionRows(db, now).move(1, uid(1), Fact(state=state))

        await shop.file.transact(work, durable=True)
        assert await shop.receipts(uid(1)) == told
        assert await shop.executions() == {"VERIFYING": 1}

    play(tmp_path, scenario)
