"""The REST API of a real coordinator: jobs, lists page by page, readings."""

import asyncio
import csv
import io

import pytest

from coordinator.errands import issue_token
from shared.clock import WallMs
from shared.model.job import ExecutionState
from tests.system.coordinator_world import NOW_MS, SCHEMA, job_body, rows

YEAR_MS = 1 << 50


@pytest.fixture
async def gateway(world):
    return await world.gateway("pump-station", role="pump")


# --- jobs ---------------------------------------------------------------------------------------
async def test_a_submission_is_accepted_with_its_place(world, gateway):
    headers = {"traceparent": "00-" + "a" * 32 + "-" + "b" * 16 + "-01"}
    answered = await world.post("/v1/jobs", job_body(), headers=headers)
    assert answered.status == 202
    job = answered.json
    assert answered.headers["Location"] == f"/v1/jobs/{job['id']}"
    assert job["counts"] == {"QUEUED": 1}
    assert job["state"] == "IN_PROGRESS"
    assert job["created_by"].endswith(" admin")
    assert job["spec"]["targets"]["selector"] == "site=north"
    assert (await world.read(f"/v1/jobs/{job['id']}")) == job
    await world.post("/v1/jobs", job_body(), headers={"traceparent": "00-made-up"})
    found = await rows(world.place, "SELECT trace FROM job ORDER BY job_id")
    traces = [trace for (trace,) in found]
    assert traces == [headers["traceparent"], ""]
    shown = (await world.read("/v1/jobs"))["items"]
    assert [one["trace"] for one in shown] == ["", "a" * 32], "newest first"


async def test_validate_only_submits_nothing(world, gateway):
    answered = await world.post("/v1/jobs?validate_only=true", job_body())
    assert answered.status == 200
    assert answered.json["targets"] == 1
    assert answered.json["sample"] == ["pump-station"]
    assert (await world.read("/v1/jobs"))["items"] == []
    bad = await world.post("/v1/jobs?validate_only=true", job_body("nobody"))
    assert bad.status == 422


async def test_the_same_idempotency_key_and_body_is_one_job(world, gateway):
    headers = {"Idempotency-Key": "k-1"}
    first = await world.post("/v1/jobs", job_body(), headers=headers)
    again = await world.post("/v1/jobs", job_body(), headers=headers)
    assert again.status == 202
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.json["id"] == first.json["id"]
    other = await world.post("/v1/jobs", job_body(name="other"), headers=headers)
    assert (other.status, other.problem) == (409, "idempotency-key-reused")
    fresh = await world.post("/v1/jobs", job_body(), headers={"Idempotency-Key": "k-2"})
    assert fresh.json["id"] != first.json["id"]
    assert len((await world.read("/v1/jobs"))["items"]) == 2


async def test_the_same_idempotency_key_for_something_else_is_refused(world, gateway):
    jobs = [await world.submit(gateway.name, name=name) for name in ("one", "two")]
    clones = [f"/v1/jobs/{job['id']}/clone" for job in jobs]
    templates = [f"/v1/templates/{name}/submit" for name in ("check-health", "sync-devices")]
    for number, paths in enumerate((clones, templates)):
        headers = {"Idempotency-Key": f"k-{number}"}
        body = {"targets": {"agents": [gateway.name]}}
        first, other, again = [
            await world.post(path, body, headers=headers) for path in (*paths, paths[0])
        ]
        assert (other.status, other.problem) == (409, "idempotency-key-reused")
        assert (again.status, again.json["id"]) == (202, first.json["id"])


async def test_an_idempotency_key_belongs_to_its_token(world, gateway):
    headers = {"Idempotency-Key": "k-1"}
    first = await world.post("/v1/jobs", job_body(), headers=headers)
    token = await issue_token(world.place, name="two", scope="admin", expires_ms=WallMs(YEAR_MS))
    other = await world.post("/v1/jobs", job_body(), headers=headers, token=token)
    assert other.json["id"] != first.json["id"]


async def test_a_wait_for_a_job_ends_when_it_changes(world, gateway):
    job = await world.submit()
    path = f"/v1/jobs/{job['id']}"
    seen = await world.get(path)
    wait = {"Prefer": "wait=50", "If-None-Match": seen.headers["ETag"]}
    held = asyncio.create_task(world.get(path, headers=wait))
    admitted = await gateway.ordered()
    await gateway.contact(receipts=[gateway.receipt(1, admitted.jobs[0].execution, 10)])
    # Half of what was asked for: only an answer that nothing woke takes longer.
    async with asyncio.timeout(25):
        answered = await held
    assert answered.json["state"] == "COMPLETED"
    assert answered.headers["Preference-Applied"] == "wait=50"
    same = await world.get(path, headers={"If-None-Match": answered.headers["ETag"]})
    assert (same.status, same.body) == (304, b"")
    at_once = await world.get(path, headers={"Prefer": "respond-async, wait=50"})
    assert at_once.json["state"] == "COMPLETED"


async def test_a_wait_for_a_job_goes_on_when_what_woke_it_changed_nothing(world, gateway):
    job = await world.submit()
    execution = (await gateway.ordered()).jobs[0].execution
    path = f"/v1/jobs/{job['id']}"
    await world.post(f"{path}/cancel", {})
    held = asyncio.create_task(world.get(path, headers={"Prefer": "wait=50"}))
    while "outstation_waiting_requests 1.0" not in (await world.get("/metrics")).body.decode():
        assert not held.done()
    # Called off once more, which tells whoever waits, and is no news.
    await world.post(f"{path}/cancel", {})
    await world.read(path)
    assert not held.done()
    await gateway.contact(receipts=[gateway.receipt(1, execution, ExecutionState.CANCELED)])
    async with asyncio.timeout(25):
        assert (await held).json["counts"] == {"CANCELED": 1}


async def test_executions_are_found_by_job_agent_and_state(world, gateway):
    await world.gateway("other", site="south")
    one = await world.submit("pump-station")
    await world.submit("other")

    async def found(query):
        return [x["agent"] for x in (await world.read(f"/v1/executions?{query}"))["items"]]

    assert await found("") == ["other", "pump-station"]
    assert await found(f"job={one['id']}") == ["pump-station"]
    assert await found("agent=other") == ["other"]
    assert await found("state=QUEUED") == ["other", "pump-station"]
    assert await found("state=FAILED&agent=other") == []


async def test_revoked_agents_get_no_jobs(world, gateway):
    await world.post("/v1/agents/pump-station/revoke", {})
    answered = await world.post("/v1/jobs", job_body("pump-station"))
    assert (answered.status, answered.json["at"]) == (422, "targets.agents[0]")


# --- lists --------------------------------------------------------------------------------------
async def pages(world, path):
    """Every item of a list, page by page, and the sizes of the pages."""
    items, sizes, token = [], [], ""
    while True:
        page = await world.read(f"{path}&page_token={token}")
        items += page["items"]
        sizes.append(len(page["items"]))
        token = page["next_page_token"]
        if token is None:
            return items, sizes


async def test_pages_hold_every_item_once(world):
    for number in range(5):
        await world.gateway(f"agent-{number}", site="north" if number % 2 else "south")
    agents, sizes = await pages(world, "/v1/agents?page_size=2")
    assert [one["id"] for one in agents] == [f"agent-{n}" for n in range(5)]
    assert sizes == [2, 2, 1]
    north, _ = await pages(world, "/v1/agents?page_size=1&selector=site=north")
    assert [one["id"] for one in north] == ["agent-1", "agent-3"]
    jobs = [(await world.submit(f"agent-{n}"))["id"] for n in range(3)]
    listed, sizes = await pages(world, "/v1/jobs?page_size=2")
    assert [one["id"] for one in listed] == sorted(jobs, reverse=True)
    executions, sizes = await pages(world, "/v1/executions?page_size=1")
    assert len({one["id"] for one in executions}) == 3
    assert sizes == [1, 1, 1]


async def test_a_page_token_of_another_list_is_refused(world):
    for number in range(3):
        await world.gateway(f"agent-{number}")
    token = (await world.read("/v1/agents?page_size=1"))["next_page_token"]
    for path in ("/v1/jobs?", "/v1/agents?selector=site=north&", "/v1/executions?"):
        answered = await world.get(f"{path}page_token={token}")
        assert (answered.status, answered.json["at"]) == (422, "query.page_token")


# --- readings -----------------------------------------------------------------------------------
async def test_readings_page_back_in_time_without_gap_or_overlap(world, gateway):
    blocks = {n: gateway.block(*(float(n * 10 + i) for i in range(5)), at_ms=NOW_MS + n * 5000)
              for n in (1, 2, 3)}  # fmt: skip
    await gateway.contact(blocks=blocks, schemas=[SCHEMA.encode()])
    values: list[float] = []
    end = ""
    while True:
        view = await world.read(f"/v1/readings?limit=4{end}")
        values = [v for series in view["series"] for v in series["values"]] + values
        if not view["truncated"]:
            break
        end = f"&end={view['complete_from']}"
    assert values == [float(n * 10 + i) for n in (1, 2, 3) for i in range(5)]


async def test_readings_of_a_stretch_of_time(world, gateway):
    await gateway.contact(blocks={1: gateway.block(1, 2, 3, 4)}, schemas=[SCHEMA.encode()])
    whole = (await world.read("/v1/readings"))["series"][0]
    start, end = whole["times"][1], whole["times"][3]
    view = await world.read(f"/v1/readings?start={start}&end={end}&device=pump-1&point=current")
    assert view["series"][0]["values"] == [2, 3]
    assert view["series"][0]["qualities"] == ["good", "good"]
    assert view["series"][0]["clocks"] == [{"count": 2, "state": "synced", "err_ms": 5}]
    assert view["truncated"] is False
    nothing = await world.read("/v1/readings?point=pressure")
    assert nothing["series"] == []
    assert nothing["complete_from"] is None


async def test_readings_as_csv(world, gateway):
    await gateway.contact(blocks={1: gateway.block(1.5, 2.0)}, schemas=[SCHEMA.encode()])
    answered = await world.get("/v1/readings?format=csv")
    assert answered.headers["Content-Type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(answered.body.decode())))
    assert [row["value"] for row in rows] == ["1.5", "2.0"]
    assert rows[0] == {
        "time": "2026-11-18T11:06:40.000Z",
        "agent": "pump-station",
        "device": "pump-1",
        "point": "current",
        "unit": "A",
        "value": "1.5",
        "quality": "good",
        "clock": "synced",
        "err_ms": "5",
    }
