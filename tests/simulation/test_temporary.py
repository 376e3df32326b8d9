"""Temporary values on virtual time: they go back by themselves, whatever happened meanwhile."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from agent.core.ports import PointReading
from agent.store.jobs import Planned
from shared.errors import Reason
from shared.ids import DeviceId
from shared.model.job import JobSpec, Step
from shared.model.reading import Quality
from shared.model.schedule import Schedule
from shared.model.spec_check import check_spec
from tests.agent_parts import MemoryDevice, admitted, uid
from tests.simulation.shop import Shop, play

PUMP = DeviceId("pump-1")


def write(value: int, *, for_s: int = 0, name: str = "a") -> Step:
    return Step(name, "device.write", {"setpoint": value}, for_s=for_s)


async def order(shop: Shop, number: int, *steps: Step, **spec: Any) -> None:
    job = JobSpec(name="a", steps=list(steps), **spec)
    check_spec(job)
    shop.seq += 1
    bundle = admitted(shop.seq, (uid(number), job), not_after=10**14)
    planned = [Planned(one, (PUMP,)) for one in bundle.jobs]
    await shop.jobs.admit(bundle, planned, now=shop.calendar.now())
    shop.executor.wake()
    shop.standing.wake()


async def told(shop: Shop, number: int) -> list[tuple[str, str]]:
    receipts = await shop.receipts(uid(number))
    return [(one["state"], one["detail"]) for one in receipts if "back" in one["detail"]]


def test_a_temporary_value_goes_back_at_its_time_and_says_so(tmp_path: Path):
    async def scenario(shop: Shop) -> None:
        pump = shop.pumps[PUMP]
        await order(shop, 1, write(4200, for_s=600))
        await asyncio.sleep(599)
        assert pump.values["setpoint"] == 4200
        await asyncio.sleep(2)
        assert pump.written == [("setpoint", 4200), ("setpoint", 100)]
        assert await told(shop, 1) == [("DONE", "pump-1.setpoint was put back to 100")]
        assert (await shop.receipts(uid(1)))[-1]["result"] == {"_restored.setpoint": 100}
        assert await shop.executions() == {"SUCCEEDED": 1}
        turns = shop.world.loop.turns
        await asyncio.sleep(36_000)
        assert shop.world.loop.turns - turns < 5, "nothing is lent, nothing is looked at"

    play(tmp_path, scenario)


def test_a_temporary_value_goes_back_after_a_restart(tmp_path: Path):
    async def scenario(shop: Shop) -> None:
        await order(shop, 1, write(4200, for_s=600))
        await asyncio.sleep(10)
        await shop.close()
        pump = shop.pumps[PUMP]
        await asyncio.sleep(3_600)
        await shop.open()
        shop.pumps[PUMP].values = pump.values
        await asyncio.sleep(1)
        assert pump.values["setpoint"] == 100
        assert len(await told(shop, 1)) == 1

    play(tmp_path, scenario)


def test_the_former_value_is_durable_before_the_new_one_is_written(tmp_path: Path):
    async def scenario(shop: Shop) -> None:
        pump: Any = shop.pumps[PUMP]
        write_it = pump.write

        async def crash(values: Any) -> None:
            due = await shop.memory.due()
            assert due.next_due_ms is not None, "what was there is written down first"
            await write_it(values)
            raise RuntimeError("the process ended here")

        pump.write = crash
        await order(shop, 1, write(4200, for_s=60))
        await asyncio.sleep(1)
        assert pump.values["setpoint"] == 4200
        pump.write = write_it
        await asyncio.sleep(60)
        assert pump.values["setpoint"] == 100
        receipts = await shop.receipts(uid(1))
        assert receipts[-1]["state"] == "FAILED", "its own end stays what it was"
        assert receipts[-1]["reason"] == int(Reason.STEP_FAILED)

    play(tmp_path, scenario)


def test_a_later_lasting_write_keeps_its_value(tmp_path: Path):
    async def scenario(shop: Shop) -> None:
        await order(shop, 1, write(4200, for_s=600))
        await asyncio.sleep(10)
        await order(shop, 2, write(300))
        await asyncio.sleep(3_600)
        assert shop.pumps[PUMP].values["setpoint"] == 300
        assert await told(shop, 1) == []

    play(tmp_path, scenario)


def test_asking_for_the_temporary_value_for_good_keeps_it(tmp_path: Path):
    async def scenario(shop: Shop) -> None:
        await order(shop, 1, write(4200, for_s=600))
        await asyncio.sleep(10)
        await order(shop, 2, write(4200))
        await asyncio.sleep(3_600)
        assert shop.pumps[PUMP].values["setpoint"] == 4200

    play(tmp_path, scenario)


def test_a_temporary_value_upon_another_goes_back_to_the_first_one(tmp_path: Path):
    async def scenario(shop: Shop) -> None:
        await order(shop, 1, write(4200, for_s=600))
        await asyncio.sleep(10)
        await order(shop, 2, write(300, for_s=1_200))
        await asyncio.sleep(1_000)
        assert shop.pumps[PUMP].values["setpoint"] == 300
        await asyncio.sleep(300)
        assert shop.pumps[PUMP].values["setpoint"] == 100
        assert len(await told(shop, 2)) == 1

    play(tmp_path, scenario)


def test_a_silent_device_is_set_right_when_it_is_back(tmp_path: Path):
    async def scenario(shop: Shop) -> None:
        pump = shop.pumps[PUMP]
        await order(shop, 1, write(4200, for_s=600))
        await asyncio.sleep(10)
        pump.silent = True
        await asyncio.sleep(6_000)
        assert pump.values["setpoint"] == 4200
        pump.silent = False
        await asyncio.sleep(3_601)
        assert pump.values["setpoint"] == 100

    play(tmp_path, scenario)


def test_a_locked_site_keeps_its_values_until_it_is_unlocked(tmp_path: Path):
    async def scenario(shop: Shop) -> None:
        await order(shop, 1, write(4200, for_s=60))
        await asyncio.sleep(10)
        shop.locked_ms = 3_600_000
        await asyncio.sleep(120)
        assert shop.pumps[PUMP].values["setpoint"] == 4200
        shop.locked_ms = 0
        shop.restorer.wake()
        await asyncio.sleep(1)
        assert shop.pumps[PUMP].values["setpoint"] == 100

    play(tmp_path, scenario)


def test_an_equal_value_is_neither_written_nor_put_back(tmp_path: Path):
    async def scenario(shop: Shop) -> None:
        await order(shop, 1, write(100, for_s=60))
        await asyncio.sleep(120)
        assert shop.pumps[PUMP].written == []

    play(tmp_path, scenario)


class Blank(MemoryDevice):
    """A pump whose speed is no number until somebody writes one."""

    def _reading(self, point: str) -> PointReading:
        if point == "speed" and point not in self.values:
            return PointReading(point, None, Quality.BAD_RANGE, Reason.VALUE_OUT_OF_RANGE)
        return super()._reading(point)


@pytest.mark.parametrize("dry_run", [False, True])
def test_nothing_is_lent_where_nothing_could_be_put_back(tmp_path: Path, dry_run: bool):
    async def scenario(shop: Shop) -> None:
        pump = shop.pumps[PUMP]
        pump.__class__ = Blank
        del pump.values["speed"]
        both: Any = {"setpoint": 4200, "speed": 2.5}
        await order(shop, 1, Step("a", "device.write", both, for_s=600), dry_run=dry_run)
        await asyncio.sleep(7_200)
        assert pump.written == [], "not the other point either"
        [end] = [one for one in await shop.receipts(uid(1)) if one["device"]]
        assert (end["state"], end["reason"]) == ("FAILED", Reason.STEP_FAILED)
        assert "pump-1.speed has no value now" in end["detail"]
        assert end["result"] == {"a.setpoint": 100, "a.reason": "step_failed"}
        await order(shop, 2, Step("a", "device.write", both), dry_run=dry_run)
        await asyncio.sleep(60)
        assert pump.values.get("speed") == (None if dry_run else 2.5), "for good it may be written"

    play(tmp_path, scenario)


def test_a_standing_job_lends_each_time_and_its_history_says_so(tmp_path: Path):
    async def scenario(shop: Shop) -> None:
        every = Schedule(interval_s=3_600)
        await order(shop, 1, write(4200, for_s=600), schedule=every)
        await asyncio.sleep(3 * 3_600 + 1_800)
        written = [value for _, value in shop.pumps[PUMP].written]
        assert written == [4200, 100] * (len(written) // 2)
        assert len(written) >= 4
        tales = await shop.tales()
        assert ("SUCCEEDED", "", len(written) // 2, "pump-1.setpoint was put back to 100") in tales

    play(tmp_path, scenario)


def test_an_execution_is_not_forgotten_while_it_has_something_to_put_back(tmp_path: Path):
    async def scenario(shop: Shop) -> None:
        await order(shop, 1, write(4200, for_s=86_400))
        await asyncio.sleep(10)
        from shared.runtime.queries import bind, load_queries

        forget = load_queries("agent.store", "queries/jobs.sql")["forget_executions"]

        def work(db: Any) -> None:
            db.execute("DELETE FROM outbox")
            db.execute(forget, bind(10**9, 0))

        await shop.file.transact(work, durable=False)
        assert await shop.executions() == {"SUCCEEDED": 1}
        await shop.memory.settle(PUMP, ["setpoint"])
        await shop.file.transact(work, durable=False)
        assert await shop.executions() == {}

    play(tmp_path, scenario)
