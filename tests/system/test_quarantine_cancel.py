"""A quarantine stops grants, never a calling off: what runs can be stopped on either machine."""

import pytest

from shared.model.job import ExecutionState
from tests.system.coordinator_world import NOW_MS, body, client_of, found_in, serving

STOPPED = {"cancel": "stopped"}


@pytest.fixture
async def world(tmp_path):
    place = await found_in(tmp_path)
    async with serving(place) as url, client_of(place, url) as made:
        yield made


async def test_a_quarantined_gateway_is_told_to_stop_and_nothing_else(world):
    gateway = await world.gateway("pump-1")
    job = (await world.submit("pump-1"))["id"]
    (work,) = (await gateway.ordered()).jobs
    await gateway.contact(receipts=[gateway.receipt(1, work.execution, ExecutionState.IN_PROGRESS)])
    twin = gateway.report(wall_ms=NOW_MS + 1)
    await gateway.contact()
    assert (await world.sync(body(twin))).status == 200
    assert (await world.read("/v1/agents/pump-1"))["state"] == "QUARANTINED"
    await world.submit("pump-1")
    assert (await gateway.contact())[1] is None, "it gets no work"
    assert (await world.post(f"/v1/jobs/{job}/cancel", {})).status == 202
    order = await gateway.ordered()
    assert (list(order.jobs), list(order.cancels)) == ([], [work.execution])
    canceled = gateway.receipt(2, work.execution, ExecutionState.CANCELED, result=STOPPED)
    await gateway.contact(receipts=[canceled])
    view = await world.read(f"/v1/jobs/{job}")
    assert (view["state"], view["counts"]) == ("CANCELED", {"CANCELED": 1})
    assert (await gateway.contact())[1] is None
