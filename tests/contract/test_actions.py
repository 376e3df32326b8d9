"""What every action must do, whatever it does: the table agrees, and faults become outcomes."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from agent.actions.registry import ACTIONS, OWN_ACTIONS, CheckedAction
from agent.core.queue import Problem
from shared.errors import Reason
from shared.model.action import ACTIONS as DECLARED
from shared.model.job import Step
from tests.agent_parts import (
    MemoryDevice,
    device,
)
from tests.contract.actions_bench import GIVES, GOOD, Bench, open_bench, pump, run


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with open_bench(tmp_path) as opened:
        yield opened


def test_every_declared_action_has_an_implementation_and_no_other_exists():
    assert set(ACTIONS) | set(OWN_ACTIONS) == set(DECLARED)
    # No firmware gets into a Modbus pump: tests/simulation/test_firmware.py.
    # No files either: tests/simulation/test_device_files.py.
    smp = {"device.update_firmware", "device.put_file", "device.get_file"}
    assert set(ACTIONS) == {*GOOD, *smp}
    table: dict[str, Any] = {**ACTIONS, **OWN_ACTIONS}
    assert all(action.name == name for name, action in table.items())


@pytest.fixture(params=sorted(GOOD))
def action(request) -> CheckedAction:
    return ACTIONS[request.param]


def step(action: CheckedAction) -> Step:
    return Step("s", action.name, GOOD[action.name])


async def test_a_good_step_succeeds_and_reports_its_points(action, bench: Bench):
    assert action.check(step(action), pump()) is None
    outcome = await action.run(step(action), bench.driver)
    assert outcome.reason is None, outcome
    named = GOOD[action.name]
    points = named["points"] if "points" in named else list(named)
    assert set(GIVES.get(action.name, points)) <= set(outcome.result)


async def test_a_dry_run_says_what_it_would_do_and_changes_nothing(action, bench: Bench):
    outcome = await action.run(step(action), bench.hand(dry_run=True))
    assert outcome.reason is None, outcome
    assert bench.slave.count(5, 6, 15, 16) == 0
    assert await bench.memory.config(bench.driver.device, "summer") is None
    if not DECLARED[action.name].reads_only:
        assert outcome.result["_dry_run"] is True
        assert any(name.endswith(".new") for name in outcome.result)


async def test_nothing_is_written_that_the_catalog_does_not_allow(action, bench: Bench):
    no = Problem(Reason.OUT_OF_BOUNDS, "not allowed")
    outcome = await action.run(step(action), bench.hand(may_write=lambda *_: no))
    assert bench.slave.count(5, 6, 15, 16) == 0
    if not DECLARED[action.name].reads_only:
        assert outcome.reason is Reason.OUT_OF_BOUNDS


def test_an_action_says_what_it_needs_costs_and_what_undoes_it(action):
    kind = DECLARED[action.name]
    assert kind.needs or action.name == "device.sync"
    assert kind.cost.requests(step(action)) > 0
    may_be_undone = action.name in {"device.write", "device.configure"}
    assert bool(kind.undo) is may_be_undone


@pytest.mark.parametrize("name", sorted(n for n in GOOD if DECLARED[n].idempotent))
async def test_a_repeat_has_no_second_effect(name: str, bench: Bench):
    action = ACTIONS[name]
    await action.run(step(action), bench.driver)
    writes = bench.slave.count(5, 6, 15, 16)
    again = await action.run(step(action), bench.driver)
    assert again.reason is None
    assert bench.slave.count(5, 6, 15, 16) == writes


async def test_a_silent_device_is_an_outcome(action, bench: Bench):
    bench.mute()
    outcome = await action.run(step(action), bench.driver)
    unknown = not DECLARED[action.name].idempotent
    assert outcome.reason is (Reason.UNKNOWN_EFFECT if unknown else Reason.DEVICE_SILENT)
    assert outcome.detail


async def test_a_refusing_device_is_an_outcome(action, bench: Bench):
    bench.slave.exception = {3: 4, 4: 4, 6: 4, 16: 4}
    outcome = await action.run(step(action), bench.driver)
    assert outcome.reason is Reason.DEVICE_EXCEPTION


async def test_a_step_can_be_cancelled_and_done_again(action, bench: Bench):
    bench.mute()
    task = asyncio.create_task(action.run(step(action), bench.driver))
    while not bench.slave.heard:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    bench.unmute()
    assert (await action.run(step(action), bench.driver)).reason is None


async def test_a_read_reports_what_it_got_even_when_one_point_failed(bench: Bench):
    memory = MemoryDevice(device("pump-1").id)
    wanted = Step("s", "device.read", {"points": ["flow", "torque"]})
    outcome = await run(wanted, bench.hand(memory))
    assert outcome.reason is Reason.POINT_UNKNOWN
    assert outcome.result == {"flow": 7}
