"""Firmware on its way into the devices of a rollout: who has how much of it, by name."""

import asyncio
import json

import pytest

from shared.model.job import ExecutionState
from shared.wire.messages import DeviceWord
from tests.system.coordinator_world import job_body, open_world


@pytest.fixture
async def world(tmp_path):
    async with open_world(tmp_path) as made:
        yield made


async def test_a_rollout_shows_how_far_firmware_has_come_into_each_device(world, run):
    member, stranger = await world.gateway("site-1"), await world.gateway("site-2")
    stages = [{"name": "all", "percentage": 100}]
    answer = await world.post("/v1/jobs", job_body(member.name, rollout={"stages": stages}))
    job = answer.json["id"]
    while not (await world.read(f"/v1/rollouts/{job}"))["released"]:
        await asyncio.sleep(0)
    (work,) = (await member.ordered()).jobs
    words = [DeviceWord("pump-1", image_permille=250), DeviceWord("pump-2", image_permille=0)]
    await stranger.contact(devices=words)
    await member.contact(devices=words)
    shown = await world.read(f"/v1/rollouts/{job}")
    assert shown["incoming"] == [], "it has not said that it is at this work"
    receipt = member.receipt(1, work.execution, ExecutionState.IN_PROGRESS)
    await member.contact(receipts=[receipt])
    told = "firmware at site-1: pump-1 25 %, pump-2 0 %"
    assert told in (await run("rollouts", "show", job))[1]
    status, out, _ = await run("rollouts", "watch", job, "--timeout", "1")
    assert (status, told in out, "site-2" in out) == (7, True, False), out
    listed = json.loads((await run("rollouts", "list", "--json"))[1])
    assert [one["incoming"] for one in listed] == [[]]
    done = member.receipt(2, work.execution, ExecutionState.SUCCEEDED)
    await member.contact(receipts=[done], devices=[])
    assert (await world.read(f"/v1/rollouts/{job}"))["incoming"] == []
