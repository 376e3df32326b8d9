"""What every action must do, whatever it does: the table agrees, and faults become outcomes."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from agent.actions.registry import ACTIONS, CheckedAction, check_step
from agent.buses.factory import open_bus
from agent.core.ports import BusSettings, Driver
from agent.drivers.registry import make_driver
from shared.errors import Reason
from shared.model.action import ACTIONS as DECLARED
from shared.model.job import Step
from tests.agent_parts import MemoryDevice, device
from tests.contract.slave import Slave, serving
from tests.contract.wires import plugged

GOOD: dict[str, dict[str, Any]] = {
    "device.read": {"points": ["flow", "speed"]},
    "device.write": {"setpoint": 4200, "speed": 2.5},
}
"""A step of each action that a healthy pump can do; a new action is one line here."""


@dataclass
class Bench:
    """A device and the driver that speaks to it."""

    driver: Driver
    slave: Slave


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    """A pump behind a real bus and a real driver."""
    async with plugged("tcp", tmp_path) as wire, serving(wire, "tcp") as slave:
        slave.cells |= {("input", 0): 7, ("holding", 0): 100, ("holding", 1): 15}
        bus = open_bus(BusSettings(name="line", url=wire.url, response_timeout_ms=200, retries=0))
        try:
            yield Bench(make_driver(device("pump-1"), bus), slave)
        finally:
            await bus.close()


def test_every_declared_action_has_an_implementation_and_no_other_exists():
    assert set(ACTIONS) == set(DECLARED) == set(GOOD)
    assert all(action.name == name for name, action in ACTIONS.items())


@pytest.fixture(params=sorted(GOOD))
def action(request) -> CheckedAction:
    return ACTIONS[request.param]


def step(action: CheckedAction) -> Step:
    return Step("s", action.name, GOOD[action.name])


async def test_a_good_step_succeeds_and_reports_its_points(action, bench: Bench):
    assert action.check(step(action), device("pump-1")) is None
    outcome = await action.run(step(action), bench.driver)
    assert outcome.reason is None, outcome
    named = GOOD[action.name]
    points = named["points"] if "points" in named else list(named)
    assert set(points) <= set(outcome.result)


async def test_a_repeat_has_no_second_effect(action, bench: Bench):
    await action.run(step(action), bench.driver)
    writes = bench.slave.count(5, 6, 15, 16)
    again = await action.run(step(action), bench.driver)
    assert again.reason is None
    assert bench.slave.count(5, 6, 15, 16) == writes


async def test_a_silent_device_is_an_outcome(action, bench: Bench):
    bench.slave.mute = True
    outcome = await action.run(step(action), bench.driver)
    assert outcome.reason is Reason.DEVICE_SILENT
    assert outcome.detail


async def test_a_refusing_device_is_an_outcome(action, bench: Bench):
    bench.slave.exception = {3: 4, 4: 4}
    outcome = await action.run(step(action), bench.driver)
    assert outcome.reason is Reason.DEVICE_EXCEPTION


async def test_a_step_can_be_cancelled_and_done_again(action, bench: Bench):
    bench.slave.mute = True
    task = asyncio.create_task(action.run(step(action), bench.driver))
    while not bench.slave.heard:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    bench.slave.mute = False
    assert (await action.run(step(action), bench.driver)).reason is None


# --- device.write -------------------------------------------------------------------------------
def write(**values: float) -> Step:
    return Step("s", "device.write", dict(values))


async def run(wanted: Step, driver: Driver):
    return await ACTIONS[wanted.action].run(wanted, driver)


async def test_a_write_is_read_back_in_the_units_people_use(bench: Bench):
    outcome = await run(write(setpoint=4200, speed=2.5), bench.driver)
    assert outcome.result == {"setpoint": 4200, "speed": 2.5, "_skipped": False}
    assert bench.slave.cells[("holding", 0)] == 4200
    assert bench.slave.cells[("holding", 1)] == 25


async def test_only_what_differs_is_written(bench: Bench):
    outcome = await run(write(setpoint=100, speed=2.5), bench.driver)
    assert outcome.result == {"setpoint": 100, "speed": 2.5, "_skipped": False}
    assert bench.slave.count(6, 16) == 1


async def test_what_is_equal_already_is_skipped_and_the_result_says_so(bench: Bench):
    outcome = await run(write(setpoint=100), bench.driver)
    assert outcome.result == {"setpoint": 100, "_skipped": True}
    assert bench.slave.count(6, 16) == 0


async def test_a_write_that_did_not_take_is_a_mismatch():
    pump = MemoryDevice(device("pump-1").id, deaf=True)
    outcome = await run(write(setpoint=4200), pump)
    assert outcome.reason is Reason.VERIFY_MISMATCH
    assert "pump-1.setpoint reads 100 after 4200 was written" in outcome.detail
    assert outcome.result == {"setpoint": 100, "_skipped": False}


async def test_a_value_between_two_counts_writes_nothing_at_all(bench: Bench):
    outcome = await run(write(setpoint=4200, speed=2.55), bench.driver)
    assert outcome.reason is Reason.BAD_PARAMETERS
    assert "write 2.5 or 2.6" in outcome.detail
    assert bench.slave.heard == []


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        (write(setpoint=5001), Reason.VALUE_OUT_OF_RANGE),
        (write(flow=1), Reason.POINT_READ_ONLY),
        (write(torque=1), Reason.POINT_UNKNOWN),
        (Step("s", "device.read", {"points": ["flow", "torque"]}), Reason.POINT_UNKNOWN),
        (Step("s", "device.melt", {}), Reason.UNKNOWN_ACTION),
    ],
)
def test_what_the_profile_forbids_is_known_before_anything_is_sent(wanted, reason):
    problem = check_step(wanted, device("pump-1"))
    assert problem is not None
    assert problem.reason is reason
    assert problem.detail.startswith("s: ")


# --- device.read --------------------------------------------------------------------------------
async def test_a_read_reports_what_it_got_even_when_one_point_failed():
    pump = MemoryDevice(device("pump-1").id)
    outcome = await run(Step("s", "device.read", {"points": ["flow", "torque"]}), pump)
    assert outcome.reason is Reason.POINT_UNKNOWN
    assert outcome.result == {"flow": 7}
