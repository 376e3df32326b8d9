"""Configurations that are kept, compared and put back, and rules about a device."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.core.loan import Owner
from shared import limits
from shared.errors import MistakeError, Reason
from shared.model.action import check_parameters
from shared.model.job import Step
from tests.agent_parts import (
    uid,
)
from tests.contract.actions_bench import Bench, open_bench, run


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with open_bench(tmp_path) as opened:
        yield opened


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
