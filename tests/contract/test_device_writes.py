"""device.write and device.command: what is written, read back, proven, spared and repeated."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.actions.registry import check_step, may_repeat
from shared.errors import Reason
from shared.model.job import Step
from tests.agent_parts import (
    MemoryDevice,
    device,
)
from tests.contract.actions_bench import Bench, command, open_bench, pump, run, write


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with open_bench(tmp_path) as opened:
        yield opened


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


async def test_a_write_that_did_not_take_is_a_mismatch(bench: Bench):
    deaf = MemoryDevice(device("pump-1").id, deaf=True)
    outcome = await run(write(setpoint=4200), bench.hand(deaf))
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
        (Step("s", "device.write", {"boost": 1}, for_s=60), Reason.BAD_PARAMETERS),
        (Step("s", "device.write", {"tariff": 1}, for_s=60), Reason.BAD_PARAMETERS),
        (command("melt"), Reason.CALL_UNKNOWN),
        (command("boost"), Reason.BAD_PARAMETERS),
        (command("boost", value=101), Reason.VALUE_OUT_OF_RANGE),
        (command("reset", value=1), Reason.BAD_PARAMETERS),
        (Step("s", "device.configure", {"boost": 1}), Reason.BAD_PARAMETERS),
        (Step("s", "device.configure", {"flow": 1}), Reason.POINT_READ_ONLY),
        (Step("s", "device.read_config", {"points": ["torque"]}), Reason.POINT_UNKNOWN),
        (Step("s", "device.validate", {"torque": 1}), Reason.POINT_UNKNOWN),
        (Step("s", "device.validate", {"rules": ["device.torque > 1"]}), Reason.POINT_UNKNOWN),
    ],
)
def test_what_the_profile_forbids_is_known_before_anything_is_sent(wanted, reason):
    problem = check_step(wanted, pump())
    assert problem is not None
    assert problem.reason is reason
    assert problem.detail.startswith("s: ")


def test_a_limit_that_a_point_has_not_is_not_told():
    problem = check_step(command("boost", value=101), pump())
    assert problem is not None
    assert problem.detail == "s: pump-1.boost: 101 is outside its limits, at most 100"
    problem = check_step(write(setpoint=-1), pump())
    assert problem is not None
    assert problem.detail == "s: pump-1.setpoint: -1 is outside its limits, 0 to 5000"


async def test_an_echoed_point_is_taken_at_its_word_and_read_only_before(bench: Bench):
    outcome = await run(write(ramp=5), bench.driver)
    assert outcome.result == {"ramp": 5, "_skipped": False}
    assert [pdu[0] for pdu in bench.slave.heard] == [3, 6]


async def test_a_point_that_cannot_be_read_is_written_and_not_looked_at(bench: Bench):
    outcome = await run(write(boost=5), bench.driver)
    assert outcome.result == {"boost": 5, "_skipped": False}
    assert [pdu[0] for pdu in bench.slave.heard] == [6]


async def test_a_write_that_cannot_be_proven_and_got_no_answer_is_unknown(bench: Bench):
    bench.mute()
    outcome = await run(write(boost=5), bench.driver)
    assert outcome.reason is Reason.UNKNOWN_EFFECT


async def test_what_wears_out_is_spared_for_its_time_and_no_longer(bench: Bench):
    assert (await run(write(tariff=1), bench.driver)).reason is None
    early = await run(write(tariff=2), bench.driver)
    assert early.reason is Reason.WRITTEN_TOO_SOON
    assert "not before 3600 s" in early.detail
    assert (await run(write(tariff=1), bench.driver)).result["_skipped"] is True
    bench.clock.advance(3_600_000)
    assert (await run(write(tariff=2), bench.driver)).reason is None


async def test_a_dry_run_tells_the_present_value_and_the_new_one(bench: Bench):
    outcome = await run(write(setpoint=4200, speed=1.5), bench.hand(dry_run=True))
    told = {"setpoint": 100, "speed": 1.5, "setpoint.new": 4200}
    assert outcome.result == {**told, "_skipped": False, "_dry_run": True}


# --- device.command -----------------------------------------------------------------------------
async def test_a_pulse_comes_to_rest(bench: Bench):
    outcome = await run(command("jog"), bench.driver)
    assert outcome.result == {"start": 1, "_call": "jog"}
    writes = [pdu[3:5] for pdu in bench.slave.heard if pdu[0] == 5]
    assert writes == [bytes([0xFF, 0]), bytes([0, 0])]


async def test_a_magic_value_is_written_once(bench: Bench):
    assert (await run(command("reset"), bench.driver)).reason is None
    assert bench.slave.cells["holding", 2] == 99
    assert bench.slave.count(6, 16) == 1


async def test_a_call_that_may_be_repeated_is_proven_and_silence_is_silence(bench: Bench):
    assert (await run(command("stop"), bench.driver)).result["start"] == 0
    bench.mute()
    assert (await run(command("stop"), bench.driver)).reason is Reason.DEVICE_SILENT


async def test_a_call_that_was_refused_had_no_effect(bench: Bench):
    bench.slave.exception = {6: 4}
    assert (await run(command("reset"), bench.driver)).reason is Reason.DEVICE_EXCEPTION


def refuse_next(bench: Bench, *, function: int) -> None:
    """Let the device refuse a function once it has answered anything."""

    def spoil(frame: bytes) -> bytes:
        bench.slave.exception = {function: 4}
        return frame

    bench.slave.exception, bench.slave.spoil = {}, spoil


async def test_a_call_that_was_obeyed_is_unknown_when_it_cannot_be_read_back(bench: Bench):
    bench.slave.exception = {3: 4}
    outcome = await run(command("dose", value=7), bench.driver)
    assert bench.slave.cells[("holding", 5)] == 7
    assert outcome.reason is Reason.UNKNOWN_EFFECT


async def test_a_pulse_that_does_not_come_to_rest_is_not_given_again(bench: Bench):
    refuse_next(bench, function=5)
    assert (await run(command("jog"), bench.driver)).reason is Reason.UNKNOWN_EFFECT


async def test_a_write_of_several_is_unknown_when_only_some_of_it_was_done(bench: Bench):
    bench.slave.exception = {3: 4}
    outcome = await run(write(boost=5, dose=3), bench.driver)
    assert outcome.reason is Reason.DEVICE_EXCEPTION, "nothing is written before it was read"
    refuse_next(bench, function=5)
    outcome = await run(write(boost=5, start=1), bench.driver)
    assert outcome.reason is Reason.UNKNOWN_EFFECT


@pytest.mark.parametrize("call", ["reset", "stop"])
def test_only_a_call_that_says_so_may_be_repeated(call: str):
    assert may_repeat(command(call), pump()) is (call == "stop")
    assert may_repeat(write(setpoint=1), pump()) is None, "as declared"
    assert may_repeat(write(setpoint=1, boost=1), pump()) is False
