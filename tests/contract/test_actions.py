"""What every action must do, whatever it does: the table agrees, and faults become outcomes."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from agent.actions.hand import Hand
from agent.actions.registry import ACTIONS, OWN_ACTIONS, CheckedAction, check_step, may_repeat
from agent.buses.factory import open_bus
from agent.core.device import DeviceSettings
from agent.core.loan import Owner
from agent.core.ports import BusSettings, Driver
from agent.core.queue import Problem
from agent.drivers.registry import make_driver
from agent.services.calendar import Calendar
from agent.store.devices import DeviceMemory
from agent.store.jobs import JobStore, Planned
from agent.store.jobs_file import JobsFile
from shared import limits
from shared.errors import MistakeError, Reason
from shared.model.action import ACTIONS as DECLARED
from shared.model.action import check_parameters
from shared.model.job import Step
from shared.model.profile import parse_profile
from tests.agent_parts import (
    PUMP_TEXT,
    Fixed,
    HandClock,
    MemoryDevice,
    admitted,
    device,
    read_job,
    uid,
)
from tests.contract.slave import Slave, serving
from tests.contract.wires import plugged

PUMP = parse_profile(
    PUMP_TEXT.replace("writable = true", "writable = true\nconfig = true")
    + """
[[point]]
name = "boost"
at = { table = "holding", address = 2, type = "uint16" }
poll = false
writable = true
verify = "none"
max = 100

[[point]]
name = "ramp"
at = { table = "holding", address = 3, type = "uint16" }
writable = true
verify = "echo"

[[point]]
name = "tariff"
at = { table = "holding", address = 4, type = "uint16" }
writable = true
min_write_interval_s = 3600

[[point]]
name = "dose"
at = { table = "holding", address = 5, type = "uint16" }
writable = true

[[point]]
name = "serial"
at = { table = "holding", address = 9, type = "uint16" }
poll = false

[[point]]
name = "start"
at = { table = "coil", address = 0 }
writable = true

[[call]]
name = "boost"
point = "boost"

[[call]]
name = "dose"
point = "dose"

[[call]]
name = "reset"
point = "boost"
value = 99

[[call]]
name = "jog"
point = "start"
value = 1
pulse_ms = 1

[[call]]
name = "stop"
point = "start"
value = 0
idempotent = true
""",
    source="pump.toml",
)


def pump() -> DeviceSettings:
    return replace(device("pump-1"), profile=PUMP)


GOOD: dict[str, dict[str, Any]] = {
    "device.read": {"points": ["flow", "speed"]},
    "device.write": {"setpoint": 4200, "speed": 2.5},
    "device.command": {"call": "boost", "value": 7},
    "device.read_config": {"points": ["setpoint", "speed"], "save_as": "summer"},
    "device.configure": {"setpoint": 4200, "speed": 2.5},
    "device.restore_config": {"saved": "winter"},
    "device.validate": {"setpoint": 4200, "saved": "winter"},
    "device.sync": {},
}
"""A step of each action that a healthy pump can do; a new action is one line here."""


GIVES = {
    "device.command": {"boost", "_call"},
    "device.restore_config": {"setpoint"},
    "device.validate": {"setpoint", "_drift", "_drifted"},
    "device.sync": {"serial", "_profile", "_address"},
}
"""What is in its result, where that is more than the points it names."""


@dataclass
class Bench:
    """A device and the hand that holds it."""

    driver: Hand
    slave: Slave
    memory: DeviceMemory
    clock: HandClock

    def hand(self, driver: Driver | None = None, **changes: Any) -> Hand:
        if driver is not None:
            changes["driver"] = driver
        return replace(self.driver, **changes)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    """A pump behind a real bus and a real driver, beside a real jobs.db."""
    clock = HandClock()
    calendar = Calendar(clock)
    file = await JobsFile(tmp_path, Fixed()).open()
    memory = DeviceMemory(file, now=calendar.now)
    bundle = admitted(1, (uid(1), read_job("flow")))
    planned = [Planned(job, (pump().id,)) for job in bundle.jobs]
    await JobStore(file).admit(bundle, planned, now=calendar.now())
    async with plugged("tcp", tmp_path) as wire, serving(wire, "tcp") as slave:
        slave.cells |= {("input", 0): 7, ("holding", 0): 100, ("holding", 1): 15}
        slave.cells |= {("holding", n): 0 for n in range(2, 8)}
        slave.cells |= {("holding", 9): 4711, ("coil", 0): 0}
        bus = open_bus(BusSettings(name="line", url=wire.url, response_timeout_ms=200, retries=0))
        hand = Hand(
            driver=make_driver(pump(), bus),
            settings=pump(),
            memory=memory,
            owner=Owner(uid(1)),
            may_write=lambda *_: None,
        )
        await memory.keep_config(Owner(uid(2)), hand.device, ["winter"], {"setpoint": 50})
        try:
            yield Bench(hand, slave, memory, clock)
        finally:
            await bus.close()
            await file.close()


def test_every_declared_action_has_an_implementation_and_no_other_exists():
    assert set(ACTIONS) | set(OWN_ACTIONS) == set(DECLARED)
    # No firmware gets into a Modbus pump: tests/simulation/test_firmware.py.
    assert set(ACTIONS) == {*GOOD, "device.update_firmware"}
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
    bench.slave.mute = True
    outcome = await action.run(step(action), bench.driver)
    unknown = not DECLARED[action.name].idempotent
    assert outcome.reason is (Reason.UNKNOWN_EFFECT if unknown else Reason.DEVICE_SILENT)
    assert outcome.detail


async def test_a_refusing_device_is_an_outcome(action, bench: Bench):
    bench.slave.exception = {3: 4, 4: 4, 6: 4, 16: 4}
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


def command(call: str, **params: float) -> Step:
    return Step("s", "device.command", {"call": call, **params})


async def run(wanted: Step, driver: Hand):
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


async def test_an_echoed_point_is_taken_at_its_word_and_read_only_before(bench: Bench):
    outcome = await run(write(ramp=5), bench.driver)
    assert outcome.result == {"ramp": 5, "_skipped": False}
    assert [pdu[0] for pdu in bench.slave.heard] == [3, 6]


async def test_a_point_that_cannot_be_read_is_written_and_not_looked_at(bench: Bench):
    outcome = await run(write(boost=5), bench.driver)
    assert outcome.result == {"boost": 5, "_skipped": False}
    assert [pdu[0] for pdu in bench.slave.heard] == [6]


async def test_a_write_that_cannot_be_proven_and_got_no_answer_is_unknown(bench: Bench):
    bench.slave.mute = True
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
    bench.slave.mute = True
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


# --- configurations -----------------------------------------------------------------------------
async def test_a_configuration_is_kept_changed_and_put_back(bench: Bench):
    read = await run(Step("backup", "device.read_config"), bench.driver)
    assert read.result == {"setpoint": 100, "speed": 1.5}
    made = await run(Step("s", "device.configure", {"setpoint": 4200, "speed": 1.5}), bench.driver)
    assert made.result == {"setpoint": 4200, "speed": 1.5, "_skipped": False}
    assert bench.slave.count(6, 16) == 1, "only what differs is written"
    back = await run(Step("r", "device.restore_config", {"from": "backup"}), bench.driver)
    assert back.result == {"setpoint": 100, "speed": 1.5, "_skipped": False}


async def test_a_repeated_attempt_keeps_what_the_first_one_found(bench: Bench):
    desired = Step("s", "device.configure", {"setpoint": 4200})
    await run(desired, bench.driver)
    await run(desired, bench.driver)
    back = await run(Step("r", "device.restore_config", {"from": "s"}), bench.driver)
    assert back.result["setpoint"] == 100


async def test_another_execution_does_not_see_what_a_step_kept_but_a_name_serves_all(bench: Bench):
    await run(Step("backup", "device.read_config", {"save_as": "autumn"}), bench.driver)
    other = bench.hand(owner=Owner(uid(2)))
    missing = await run(Step("r", "device.restore_config", {"from": "backup"}), other)
    assert missing.reason is Reason.BAD_PARAMETERS
    assert (
        await run(Step("r", "device.restore_config", {"saved": "autumn"}), other)
    ).reason is None


async def test_drift_is_told_with_both_values_and_never_written(bench: Bench):
    found = await run(Step("s", "device.validate", {"speed": 1.5, "saved": "winter"}), bench.driver)
    assert found.reason is None
    drift = {"_drifted": 1, "_drift": "setpoint", "setpoint.desired": 50}
    assert found.result == {"setpoint": 100, "speed": 1.5, **drift}
    assert bench.slave.count(5, 6, 15, 16) == 0


RULES = ["device.setpoint <= 50", "device.speed > 1 and device.flow == 7"]


async def test_each_rule_tells_whether_it_holds_and_a_broken_one_fails_nothing(bench: Bench):
    found = await run(Step("s", "device.validate", {"rules": RULES}), bench.driver)
    assert found.reason is None
    told = {"_drifted": 0, "_drift": "", "_broken": 1, "_rule.1": False, "_rule.2": True}
    assert found.result == {"setpoint": 100, "speed": 1.5, "flow": 7, **told}
    assert bench.slave.count(5, 6, 15, 16) == 0


async def test_rules_may_ask_what_the_device_is_and_unknown_is_not_broken(bench: Bench):
    step = Step("s", "device.validate", {"rules": ["device.firmware == '2.1'"]})
    told = (await run(step, bench.driver)).result
    assert (told["_rule.1"], told["_broken"]) == ("unknown", 0)
    bench.slave.says = {0: b"Acme", 1: b"P", 2: b"2.0"}
    told = (await run(step, bench.driver)).result
    assert (told["_rule.1"], told["_broken"]) == (False, 1)


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({"rules": []}, "0 rules"),
        ({"rules": ["device.setpoint"] * 17}, "17 rules"),
        ({"rules": ["setpoint > 1"]}, "setpoint"),
        ({"rules": ["device.setpoint >"]}, "rules\\[0\\]"),
        ({"rules": "device.setpoint > 1"}, "no value of a point"),
        ({"setpoint": ["flow"]}, "no value of a point"),
    ],
)
def test_a_rule_that_cannot_be_is_refused_at_submission(params, says):
    with pytest.raises(MistakeError, match=says):
        check_parameters(Step("s", "device.validate", params), "steps[0]")


async def test_kept_configurations_are_bounded(bench: Bench):
    for number in range(limits.CONFIGS_KEPT + 3):
        await bench.memory.keep_config(
            Owner(uid(number)), bench.driver.device, [f"c{number}"], {"setpoint": number}
        )
    assert await bench.memory.config(bench.driver.device, "winter") is None
    assert await bench.memory.config(bench.driver.device, "c3") == {"setpoint": 3}
    assert await bench.memory.config(bench.driver.device, "c2") is None


# --- device.read --------------------------------------------------------------------------------
async def test_a_read_reports_what_it_got_even_when_one_point_failed(bench: Bench):
    memory = MemoryDevice(device("pump-1").id)
    wanted = Step("s", "device.read", {"points": ["flow", "torque"]})
    outcome = await run(wanted, bench.hand(memory))
    assert outcome.reason is Reason.POINT_UNKNOWN
    assert outcome.result == {"flow": 7}
