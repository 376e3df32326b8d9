"""device.command: a pulse that has begun, or may have, comes to rest whatever ends its step."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from agent.actions.registry import check_step
from agent.core.ports import StepOutcome
from shared.errors import Reason, WorldError
from shared.model.job import Step, Value
from tests.agent_parts import MemoryDevice
from tests.contract.actions_bench import Bench, command, open_bench, pump, run


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with open_bench(tmp_path) as opened:
        yield opened


@dataclass
class Relay(MemoryDevice):
    """An output that is slow to answer, or does not."""

    faults: dict[int, Reason] = field(default_factory=dict)
    """By the number of the write."""
    free: asyncio.Event = field(default_factory=asyncio.Event)
    tries: int = 0

    async def write(self, values: Mapping[str, Value]) -> None:
        self.tries += 1
        fault = self.faults.get(self.tries)
        if self.tries > 1:
            await self.free.wait()
        if fault is not None:
            raise WorldError(fault, "for once")
        self.written += values.items()


def relay(bench: Bench, **faults: Reason) -> Relay:
    found = Relay(bench.driver.device, faults={int(at[1:]): why for at, why in faults.items()})
    found.free.set()
    return found


async def begun(bench: Bench, output: Relay) -> "asyncio.Task[StepOutcome]":
    task = asyncio.create_task(run(command("press"), bench.hand(output)))
    while not output.tries:
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    return task


async def test_a_pulse_that_is_cut_off_comes_to_rest(bench: Bench):
    output = relay(bench, n2=Reason.DEVICE_SILENT)
    task = await begun(bench, output)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert output.written == [("start", 1), ("start", 0)]


async def test_a_pulse_comes_to_rest_although_its_end_is_cut_off_too(bench: Bench):
    output = relay(bench)
    output.free.clear()
    task = await begun(bench, output)
    task.cancel()
    while output.tries < 2:
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.sleep(0)
    output.free.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert output.written == [("start", 1), ("start", 0)]


async def test_the_end_of_a_pulse_is_written_until_the_device_takes_it(bench: Bench):
    output = relay(bench, n2=Reason.DEVICE_SILENT, n3=Reason.DEVICE_EXCEPTION)
    outcome = await run(command("jog"), bench.hand(output))
    assert outcome.reason is None
    assert output.written == [("start", 1), ("start", 0)]


async def test_who_cannot_be_brought_to_rest_is_named(bench: Bench):
    output = relay(bench, **dict.fromkeys(("n2", "n3", "n4"), Reason.DEVICE_SILENT))
    outcome = await run(command("jog"), bench.hand(output))
    assert outcome.reason is Reason.UNKNOWN_EFFECT
    assert "pump-1.start did not come to rest: for once" in outcome.detail
    assert output.tries == 4


@pytest.mark.parametrize("silent", [True, False])
async def test_a_pulse_that_may_have_begun_unheard_is_ended_a_refused_one_did_not_begin(
    bench: Bench, silent: bool
):
    output = relay(bench, n1=Reason.DEVICE_SILENT if silent else Reason.DEVICE_EXCEPTION)
    outcome = await run(command("press"), bench.hand(output))
    assert outcome.reason is (Reason.UNKNOWN_EFFECT if silent else Reason.DEVICE_EXCEPTION)
    assert output.written == ([("start", 0)] if silent else [])


async def test_a_pulse_whose_rest_cannot_be_written_does_not_begin(bench: Bench):
    outcome = await run(command("nudge"), bench.driver)
    assert outcome.reason is Reason.BAD_PARAMETERS
    assert bench.slave.heard == []


def test_a_pulse_longer_than_its_step_is_refused():
    assert check_step(command("press"), pump()) is None
    short = Step("s", "device.command", {"call": "press"}, timeout_s=10)
    problem = check_step(short, pump())
    assert problem is not None
    assert "press takes 10000 ms, and timeout_s = 10" in problem.detail
