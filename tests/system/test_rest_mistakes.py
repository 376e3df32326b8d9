"""What people get wrong over REST: each mistake is a problem that says what, where, and mend."""

import pytest

from tests.system.approvals_world import WRITE, guard
from tests.system.coordinator_world import client_of, found_in, job_body, serving


@pytest.fixture
async def world(tmp_path):
    place = await found_in(tmp_path)
    await guard(place)
    async with serving(place) as url, client_of(place, url) as made:
        await made.gateway("pump-1")
        yield made


STEP = {"id": "look", "action": "device.read", "params": {"points": ["p"]}}
UNKNOWN = {"name": "look", "targets": {"agents": ["pump-1"]}}
INVALID = [
    # path, body, at, said, mend
    ("/v1/jobs", {**UNKNOWN}, "steps", "1 to", ""),
    ("/v1/jobs", {"steps": []}, "", "missing required field", ""),
    ("/v1/jobs", {**UNKNOWN, "steps": [{**STEP, "action": "device.reed"}]}, "steps[0].action",
     "no action", "use"),
    ("/v1/jobs", {**UNKNOWN, "steps": [{**STEP, "timeout_s": "x"}]}, "steps[0].timeout_s", "int",
     ""),
    ("/v1/jobs", {**UNKNOWN, "steps": [STEP], "name": "A Name"}, "name", "not usable",
     "lower case"),
    ("/v1/jobs", {**UNKNOWN, "steps": [STEP], "targets": {}}, "targets", "no target", "give"),
    ("/v1/jobs", {**UNKNOWN, "steps": [STEP], "targets": {"selector": "site in"}},
     "targets.selector", "column", "write for example"),
    ("/v1/jobs", {**UNKNOWN, "steps": [STEP], "job_class": "operat"}, "job_class", "no class",
     "did you mean operate?"),
    ("/v1/jobs", {**UNKNOWN, **WRITE, "job_class": "observe"}, "job_class", "may not do",
     "leave it out"),
    ("/v1/tokens", {"name": "x", "scopes": ["vewer"]}, "scopes[0]", "no role",
     "did you mean viewer?"),
    ("/v1/tokens", {"name": "x x", "scopes": ["viewer"]}, "name", "cannot name", "lower case"),
    ("/v1/claims", {"site": "The North"}, "site", "cannot name", "lower case"),
    ("/v1/claims", {"site": "north", "count": 0}, "count", ">= 1", ""),
    ("/v1/templates/check-health/submit", {"version": 1 << 53}, "version", "<=", ""),
    ("/v1/triggers", {"name": "t", "template": "check-health", "version": 1 << 53}, "version",
     "<=", ""),
    ("/v1/claims", {"site": "north", "cuont": 1}, "cuont", "there is no", "did you mean count?"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("path", "body", "at", "said", "mend"), INVALID, ids=[f"{one[0]} {one[2]}" for one in INVALID]
)
async def test_a_mistake_in_a_body_is_pointed_at(world, path, body, at, said, mend):
    answered = await world.post(path, body)
    assert (answered.status, answered.problem) == (422, "invalid")
    problem = answered.json
    assert problem.get("at", "") == at
    assert said in problem["detail"]
    assert mend in problem.get("mend", "")
    assert problem["detail"].endswith(problem.get("mend", ""))
    assert set(problem) <= {"type", "title", "status", "detail", "mend", "at", "reason"}


@pytest.mark.parametrize(
    ("path", "at"),
    [
        ("/v1/agents?selector=a%20in", "query.selector"),
        ("/v1/agents?page_size=0", "query.page_size"),
        ("/v1/agents?page_token=abc", "query.page_token"),
        ("/v1/agents?bogus=1", "query"),
        ("/v1/agents?selector=a&selector=b", "query.selector"),
        ("/v1/executions?state=DONE", "query.state"),
        ("/v1/executions?job=x", "query.job"),
        ("/v1/approvals?state=some", "query.state"),
        ("/v1/approvals?page_token=abc", "query.page_token"),
        ("/v1/audit?page_size=501", "query.page_size"),
        ("/v1/tokens?page_token=abc", "query.page_token"),
        ("/v1/templates/check-health?version=9007199254740992", "query.version"),
    ],
)
async def test_a_mistake_in_a_query_is_pointed_at(world, path, at):
    answered = await world.get(path)
    assert (answered.status, answered.problem, answered.json["at"]) == (422, "invalid", at)


@pytest.mark.parametrize(
    ("method", "path", "at"),
    [
        ("GET", "/v1/agents/nobody", "path.agent"),
        ("POST", "/v1/agents/nobody/revoke", "path.agent"),
        ("GET", "/v1/jobs/no-uuid", "path.job"),
        ("GET", "/v1/executions/no-uuid", "path.execution"),
        ("GET", "/v1/approvals/no-uuid", "path.job"),
        ("POST", "/v1/tokens/nothing/revoke", "path.token"),
    ],
)
async def test_what_is_not_there_is_named(world, method, path, at):
    answered = await world.request(method, path)
    assert (answered.status, answered.problem, answered.json["at"]) == (404, "not-found", at)


async def test_requests_that_are_no_requests_are_told_so(world):
    headers = {"Content-Type": "application/json"}
    asked = [
        (await world.request("PUT", "/v1/jobs", body={}), 405, "method-not-allowed"),
        (await world.get("/v2/jobs"), 404, "not-found"),
        (await world.request("POST", "/v1/jobs", data=b"x"), 415, "wrong-media-type"),
        (await world.request("POST", "/v1/jobs", data=b"{", headers=headers), 400, "malformed"),
        (await world.request("POST", "/v1/jobs", data=b" " * 70_000, headers=headers), 413,
         "too-large"),
        (await world.post("/v1/jobs", job_body("pump-1"), headers={"Idempotency-Key": "é"}), 422,
         "invalid"),
    ]  # fmt: skip
    for answered, status, name in asked:
        assert (answered.status, answered.problem) == (status, name)
