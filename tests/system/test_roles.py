"""Processes of one coordinator that each do a part of it, and how one of them leaves."""

import asyncio
import signal

import pytest

from shared import limits
from shared.sync.body import CONTENT_TYPE
from tests.postgres_parts import database
from tests.system.coordinator_world import body, found_in
from tests.system.replicas_world import CONTACTS, replica, until_waiting
from tests.system.test_coordinator_processes import run_command


@pytest.fixture
async def place(tmp_path):
    async with database(template="template0") as url:
        yield await found_in(tmp_path, postgres=url)


async def test_a_rollout_crosses_three_processes_that_each_do_a_part(place):
    async with (
        replica(place, "--roles", "api") as people,
        replica(place, "--roles", "ingest") as agents,
        replica(place, "--roles", "scheduler") as clock,
    ):
        gateway = await agents.world.gateway("pump")
        await gateway.contact()
        held = asyncio.create_task(gateway.ordered(wait=limits.WAIT_S))
        await until_waiting(agents.world, CONTACTS)
        await people.world.submit(
            "pump", rollout={"stages": [{"name": "fleet", "percentage": 100}]}
        )
        async with asyncio.timeout(limits.WAIT_S - 15):
            admitted = await held
        assert len(admitted.jobs) == 1
        for one in (people, agents, clock):
            assert (await one.world.get("/readyz")).status == 200


async def test_a_request_for_another_role_is_told_so(place):
    async with (
        replica(place, "--roles", "api") as people,
        replica(place, "--roles", "ingest,scheduler") as agents,
    ):
        gateway = await agents.world.gateway("pump")
        assert (await agents.world.get("/v1/jobs")).problem == "misdirected"
        sent = body(gateway.report())
        answered = await people.world.sync(sent)
        assert (answered.status, answered.problem) == (421, "misdirected")
        answered = await people.world.send("/v1/enroll", gateway.enrolment())
        assert (answered.status, answered.problem) == (421, "misdirected")
        assert (await agents.world.sync(sent)).headers["Content-Type"] == CONTENT_TYPE
        assert (await people.world.get("/v1/jobs")).status == 200


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--roles", "api"), "one process"),
        (("--roles", "api,king"), "is no list of roles"),
        (("--drain", "soon"), "is no number of seconds"),
    ],
)
async def test_what_cannot_be_is_one_sentence(tmp_path, options, sentence):
    place = await found_in(tmp_path)
    status, _, err = await run_command("run", "--data", place.directory.path, *options)
    assert (status, err.count("\n")) == (2, 1)
    assert sentence in err


async def test_a_process_that_leaves_says_so_and_still_answers(place):
    async with replica(place, "--drain", "600") as leaving:
        gateway = await leaving.world.gateway("pump")
        leaving.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(30):
            while (await leaving.world.get("/readyz")).status == 200:
                pass
        await gateway.contact()
        assert (await leaving.world.get("/v1/jobs")).status == 200


async def test_contacts_that_a_leaving_process_holds_are_answered_and_go_on_elsewhere(place):
    async with replica(place) as leaving, replica(place) as staying:
        gateway = await leaving.world.gateway("pump")
        await gateway.contact()
        held = asyncio.create_task(gateway.contact(wait=limits.WAIT_S))
        await until_waiting(leaving.world, CONTACTS)
        leaving.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(limits.WAIT_S - 15):
            _, admitted = await held
            assert await leaving.process.wait() == 0
        assert admitted is None
        gateway.client = staying.world
        await staying.world.submit("pump")
        assert len((await gateway.ordered()).jobs) == 1
