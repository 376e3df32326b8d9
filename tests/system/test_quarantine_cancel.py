"""A quarantine stops grants, never a calling off: what runs can be stopped on either machine."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from coordinator.contract.sticks import STICK_TYPE
from shared.model.job import ExecutionState
from shared.sync.body import PartKind
from shared.sync.stick import StickDecoder, open_parcel
from shared.trust.admission import admit_bundle
from tests.system.coordinator_world import NOW_MS, body, open_world, parts_of

STOPPED = {"cancel": "stopped"}


@pytest.fixture
async def world(tmp_path):
    async with open_world(tmp_path) as made:
        yield made


@pytest.fixture
async def gateway(world):
    """A gateway in quarantine whose job was called off."""
    made, job, execution = await quarantined(world)
    assert (await world.post(f"/v1/jobs/{job}/cancel", {})).status == 202
    return made, job, execution


async def quarantined(world):
    """A gateway at work on a job, then one of two with its key."""
    made = await world.gateway("pump-1")
    job = (await world.submit("pump-1"))["id"]
    (work,) = (await made.ordered()).jobs
    await made.contact(receipts=[made.receipt(1, work.execution, ExecutionState.IN_PROGRESS)])
    twin = made.report(wall_ms=NOW_MS + 1)
    await made.contact()
    assert (await world.sync(body(twin))).status == 200
    assert (await world.read("/v1/agents/pump-1"))["state"] == "QUARANTINED"
    await world.submit("pump-1")
    assert (await made.contact())[1] is None, "it gets no work"
    return made, job, work.execution


async def test_a_quarantined_gateway_is_told_to_stop_and_nothing_else(world, gateway):
    made, job, execution = gateway
    order = await made.ordered()
    assert (list(order.jobs), list(order.cancels)) == ([], [execution])
    canceled = made.receipt(2, execution, ExecutionState.CANCELED, result=STOPPED)
    await made.contact(receipts=[canceled])
    view = await world.read(f"/v1/jobs/{job}")
    assert (view["state"], view["counts"]) == ("CANCELED", {"CANCELED": 1})
    assert (await made.contact())[1] is None


async def test_a_stick_tells_a_quarantined_gateway_to_stop_and_nothing_else(world, gateway):
    made, _, execution = gateway
    filled = await world.request(
        "POST", "/v1/agents/pump-1/stick", data=b"", headers={"Content-Type": STICK_TYPE}
    )
    assert (filled.status, filled.headers["Outstation-Executions"]) == (200, "0")
    decoder = StickDecoder()
    (sealed,) = decoder.feed(filled.body)
    assert decoder.header is not None
    parts = open_parcel(decoder.header, sealed, made.signer.receiving_key())
    ((_, bundle),) = parts_of(parts, PartKind.BUNDLE)
    order = admit_bundle(bundle, made.held)
    assert (list(order.jobs), list(order.cancels)) == ([], [execution])


@asynccontextmanager
async def held(world, made):
    """Hold a contact while inside; what is given there awaits its orders."""
    frozen = made.report()
    answer = asyncio.ensure_future(world.sync(body(frozen), wait=30))
    recorded = f'outstation_contacts_total{{chain="next"}} {float(made.counter + 1)}'
    while recorded not in (await world.get("/metrics")).body.decode():
        assert not answer.done()

    async def ordered():
        _, order = made.answered_by(frozen, await answer)
        assert order is not None, "the hold ended without a bundle"
        return order

    try:
        yield ordered
    finally:
        answer.cancel()


async def test_a_gateway_whose_contact_is_held_gets_work_once_its_quarantine_ends(world, gateway):
    made, _, execution = gateway
    canceled = made.receipt(2, execution, ExecutionState.CANCELED, result=STOPPED)
    await made.contact(receipts=[canceled])
    async with held(world, made) as ordered:
        assert (await world.post("/v1/agents/pump-1/release", {})).status == 200
        order = await ordered()
    assert len(order.jobs) == 1


async def test_a_gateway_whose_contact_is_held_in_a_quarantine_is_told_to_stop_and_nothing_else(
    world,
):
    made, job, execution = await quarantined(world)
    async with held(world, made) as ordered:
        assert (await world.post(f"/v1/jobs/{job}/cancel", {})).status == 202
        order = await ordered()
    assert (list(order.jobs), list(order.cancels)) == ([], [execution])
