"""Several coordinators on one database: what one commits, another one's waiters hear of."""

import asyncio

import pytest

from shared import limits
from shared.model.job import ExecutionState
from tests.postgres_parts import database
from tests.system.coordinator_world import client_of, found_in, serving
from tests.system.replicas_world import CONTACTS, REQUESTS, replicas, until_waiting
from tests.system.test_coordinator_processes import run_command
from tests.system.test_events import listening

BEFORE_IT_ENDS_S = limits.WAIT_S - 15
"""Whatever is answered by then was answered because somebody was woken."""


@pytest.fixture
async def place(tmp_path):
    async with database(template="template0") as url:
        yield await found_in(tmp_path, postgres=url)


async def test_a_contact_held_by_one_replica_is_answered_with_a_job_submitted_at_another(place):
    async with replicas(place, 2) as (here, there):
        gateway = await here.world.gateway("pump")
        await gateway.contact()
        gateway.client = there.world
        held = asyncio.create_task(gateway.ordered(wait=limits.WAIT_S))
        await until_waiting(there.world, CONTACTS)
        await here.world.submit("pump")
        admitted = await held
        assert len(admitted.jobs) == 1


async def test_every_replica_brings_news_that_one_command_published(place, tmp_path):
    policy = tmp_path / "policy.toml"
    policy.write_text('[class.observe]\nactions."device.read" = []\n')
    async with replicas(place, 2) as both:
        names = ("pump", "mill")
        gateways = [await one.world.gateway(name) for one, name in zip(both, names, strict=True)]
        for gateway in gateways:
            await gateway.contact()
        held = [asyncio.create_task(gateway.contact(wait=limits.WAIT_S)) for gateway in gateways]
        for one in both:
            await until_waiting(one.world, CONTACTS)
        status, _, err = await run_command(
            "policy", "publish", policy,
            "--data", place.directory.path, "--database", place.postgres,
        )  # fmt: skip
        assert status == 0, err
        await asyncio.gather(*held)
        assert [gateway.trust.policy_version for gateway in gateways] == [2, 2]


async def test_a_request_that_waits_at_one_replica_hears_of_a_receipt_at_another(place):
    async with replicas(place, 2) as (here, there):
        gateway = await here.world.gateway("pump")
        job = await here.world.submit("pump")
        work = await gateway.ordered()
        execution = work.jobs[0].execution
        wish = {"Prefer": f"wait={limits.WAIT_S}"}
        asked = asyncio.create_task(there.world.get(f"/v1/jobs/{job['id']}", headers=wish))
        await until_waiting(there.world, REQUESTS)
        receipt = gateway.receipt(1, execution, ExecutionState.SUCCEEDED)
        await gateway.contact(receipts=[receipt])
        async with asyncio.timeout(BEFORE_IT_ENDS_S):
            answered = await asked
        assert answered.json["state"] == "COMPLETED"


async def test_a_stream_held_by_one_replica_tells_at_once_what_was_written_at_another(
    place, monkeypatch
):
    for look in ("EVENT_LOOK_MS", "EVENT_BEAT_S"):
        monkeypatch.setattr(limits, look, 3_600_000)  # nobody finds it by looking
    async with (
        serving(place) as here_url,
        serving(place) as there_url,
        client_of(place, here_url) as here,
        client_of(place, there_url) as there,
        listening(there) as listener,
    ):
        # Some looks belong to the beginning: more events than these can find.
        for name in ("mill", "press", "saw", "kiln"):
            await here.gateway(name)
            async with asyncio.timeout(BEFORE_IT_ENDS_S):
                event = await listener.event()
                while event["subject"] != f"agent:{name}":
                    event = await listener.event()
