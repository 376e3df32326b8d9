"""Jobs for devices by what these say of themselves: who is meant is asked when a turn comes."""

import asyncio

import pytest

from agent.core.ports import Identity
from shared.errors import MistakeError, Reason
from shared.ids import DeviceId
from shared.model.job import JobSpec, Retry, Step, Targets
from shared.model.plan import Alarm, Batch, Rule
from shared.model.schedule import Schedule
from shared.model.spec_check import check_spec
from tests.agent_parts import uid
from tests.simulation.shop import Shop, SlowAction, play

ONE, TWO = DeviceId("pump-1"), DeviceId("pump-2")
OLD = Identity("Acme", "P-110", "2.0.9")
NEW = Identity("Acme", "P-110", "2.1.0")
OTHER = Identity("Acme", "Big Pump 3", "1.0")
WRITE = Step("apply", "device.write", {"setpoint": 55}, timeout_s=5)


def job(selector: str, **members) -> JobSpec:
    spec = JobSpec("set", [WRITE], Targets(device_selector=selector), **members)
    check_spec(spec)
    return spec


async def ends(shop: Shop, number: int = 1) -> dict[str, tuple[str, int, str]]:
    """Return how each device of a job, and under no name the job itself, ended."""
    return {
        one["device"]: (one["state"], one["reason"], one["detail"])
        for one in await shop.receipts(uid(number))
    }


async def done(shop: Shop, spec: JobSpec, one: Identity | None, two: Identity | None):
    shop.pumps[ONE].said, shop.pumps[TWO].said = one, two
    await shop.order(1, spec)
    await asyncio.sleep(60)
    written = [name for name, pump in shop.pumps.items() if pump.written]
    return await ends(shop), written


@pytest.mark.parametrize(
    ("selector", "written"),
    [
        ("model=P-110", [ONE]),
        ('model="Big Pump 3"', [TWO]),
        ("model!=P-110", [TWO]),
        ("firmware<2.1", [ONE, TWO]),
        ("firmware<2.1,vendor=Acme,model in (P-110,P-120)", [ONE]),
        ("firmware>=2.0.9,kind=pump", [ONE]),
        ("id=pump-2,model=P-110", []),
    ],
)
def test_a_job_goes_to_devices_that_say_they_are_meant(tmp_path, selector, written):
    async def scenario(shop):
        return await done(shop, job(selector), OLD, OTHER)

    told, found = play(tmp_path, scenario)
    assert found == written
    assert told[""][0] == ("SUCCEEDED" if written else "REJECTED")


def test_who_is_left_out_says_why_and_counts_nowhere(tmp_path):
    async def scenario(shop):
        return await done(shop, job("firmware<2.1,model=P-110"), OLD, NEW)

    told, written = play(tmp_path, scenario)
    assert written == [ONE]
    assert told[TWO] == ("CANCELED", Reason.NOT_SELECTED, "its firmware is 2.1.0")
    assert told[""][0] == "SUCCEEDED"


def test_a_device_that_cannot_say_what_it_is_is_not_taken_for_one_that_does(tmp_path):
    async def scenario(shop):
        return await done(shop, job("model=P-110"), OLD, None)

    told, written = play(tmp_path, scenario)
    assert written == [ONE]
    assert told[TWO][2] == "it does not say its model"


def test_a_stranger_that_is_silent_spoils_no_job(tmp_path):
    async def scenario(shop):
        shop.pumps[TWO].silent = True
        return await done(shop, job("model=P-110"), OLD, None)

    told, _ = play(tmp_path, scenario)
    assert told[TWO][1:] == (
        Reason.NOT_SELECTED,
        "it does not answer, and never said what it is",
    )
    assert told[""][0] == "SUCCEEDED"


def test_a_known_device_that_is_silent_is_missed_and_asked_again(tmp_path):
    async def scenario(shop):
        await done(shop, job("model=P-110"), OLD, NEW)
        shop.pumps[TWO].silent = True
        retry = Retry(failed=2, initial_s=60, max_s=60, jitter=False)
        await shop.order(2, job("model=P-110", retry=retry, final_steps=[last]))
        await asyncio.sleep(30)
        waiting = await shop.tasks()
        shop.pumps[TWO].silent = False
        await asyncio.sleep(60)
        again = await ends(shop, 2)
        shop.pumps[TWO].silent = True
        await shop.order(3, job("model=P-110", compensation=[undo], final_steps=[last]))
        await asyncio.sleep(60)
        return waiting, again, await ends(shop, 3)

    undo = Step("undo", "device.write", {"setpoint": 1})
    last = Step("last", "device.read", {"points": ["flow"]})
    waiting, again, third = play(tmp_path, scenario)
    assert waiting["READY"] == 1
    assert again[""][0] == again[TWO][0].replace("DONE", "SUCCEEDED") == "SUCCEEDED"
    # Nothing was done there, so nothing is undone.
    assert third[TWO] == ("FAILED", Reason.DEVICE_SILENT, "no answer")
    assert third[""][:2] == ("FAILED", Reason.DEVICE_SILENT)


def test_a_silent_device_that_said_it_is_another_is_left_out(tmp_path):
    async def scenario(shop):
        await done(shop, job("model=P-110"), OLD, OTHER)
        shop.pumps[TWO].silent = True
        await shop.order(2, job("model=P-110"))
        await asyncio.sleep(60)
        return await ends(shop, 2)

    told = play(tmp_path, scenario)
    assert told[TWO][1:] == (Reason.NOT_SELECTED, "its model is Big Pump 3, when it last said")
    assert told[""][0] == "SUCCEEDED"


def test_the_place_of_a_canary_that_is_not_meant_is_the_next_ones(tmp_path):
    async def scenario(shop):
        return await done(shop, job("model=P-110", batch=Batch(canary=1)), OTHER, OLD)

    told, written = play(tmp_path, scenario)
    assert written == [TWO]
    assert told[""][0] == "SUCCEEDED"


def test_what_a_job_changed_itself_does_not_make_it_leave_the_device_out(tmp_path):
    """The device says other firmware after the first step, and the agent begins anew."""

    async def scenario(shop):
        shop.pumps[ONE].said = shop.pumps[TWO].said = OLD
        look = Step("look", "device.read", {"points": ["flow"]}, timeout_s=100)
        await shop.order(1, JobSpec("look", [look], Targets(device_selector="firmware<2.1")))
        await asyncio.sleep(5)
        shop.pumps[ONE].said = shop.pumps[TWO].said = NEW
        await shop.stop()
        await shop.file.close()
        await shop.open()
        await asyncio.sleep(30)
        return await ends(shop)

    told = play(tmp_path, scenario, slow=SlowAction())
    assert [told[name][0] for name in (ONE, TWO, "")] == ["DONE", "DONE", "SUCCEEDED"]


def test_a_schedule_goes_to_whoever_is_meant_each_time(tmp_path):
    async def scenario(shop):
        shop.pumps[ONE].said, shop.pumps[TWO].said = OLD, OTHER
        await shop.order(1, job("model=P-110", schedule=Schedule(interval_s=60)))
        await asyncio.sleep(70)
        shop.pumps[ONE].said, shop.pumps[TWO].said = OTHER, OLD
        await asyncio.sleep(60)
        shop.pumps[TWO].said = OTHER
        await asyncio.sleep(60)
        return [len(pump.written) for pump in shop.pumps.values()], await shop.tales()

    written, tales = play(tmp_path, scenario)
    assert written == [1, 1]
    assert [one[:3] for one in tales] == [
        ("SUCCEEDED", "", 2),
        ("REJECTED", "no_matching_device", 1),
    ]


def test_a_rule_cannot_choose_by_what_nobody_asked():
    with pytest.raises(MistakeError, match="asks none what it is") as told:
        job("model=P-110", rule=Rule("device.flow > 3", alarm=Alarm("flows")))
    assert told.value.where == "targets.device_selector"
