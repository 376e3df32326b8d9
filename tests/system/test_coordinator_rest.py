"""The REST API of a real coordinator: who may, what machines read, what is refused and where."""

import asyncio
import contextlib
import json
import re
import ssl

import pytest

from coordinator.contract.artifacts import PIECE_TYPES
from coordinator.contract.sticks import STICK_TYPE
from coordinator.errands import issue_token
from shared import limits
from shared.clock import WallMs
from shared.ids import uuid_text
from shared.sync.body import CONTENT_TYPE
from tests.system.coordinator_world import HOST, job_body, trust

YEAR_MS = 1 << 50


@pytest.fixture
async def gateway(world):
    return await world.gateway("pump-station", role="pump")


# --- who may ------------------------------------------------------------------------------------
async def test_nothing_but_the_public_routes_answers_without_a_token(world):
    described = (await world.get("/openapi.json", token="")).json
    public = {
        (method.upper(), path)
        for path, methods in described["paths"].items()
        for method, operation in methods.items()
        if "security" not in operation
    }
    assert public == {
        ("POST", "/v1/sync"), ("POST", "/v1/enroll"), ("POST", "/v1/word"),
        ("GET", "/v1/fetch/{artifact}"), ("GET", "/livez"), ("GET", "/readyz"),
    }  # fmt: skip
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            if "security" in operation:
                real = re.sub(r"{\w+}", "x", path)
                answered = await world.request(method.upper(), real, token="")
                assert answered.status == 401, path
                # An answer to HEAD has no body (RFC 9110, 9.3.2).
                assert method == "head" or answered.problem == "unauthenticated", path
                assert answered.headers["WWW-Authenticate"] == 'Bearer realm="outstation"'


async def test_a_wrong_token_is_told_nothing(world):
    altered = world.token[:-20] + ("0" if world.token[-20] != "0" else "1") + world.token[-19:]
    unknown = "ost_" + "0" * 16 + "_" + "0" * 64
    for token in (altered, "nonsense", unknown, world.token + "x"):
        answered = await world.get("/v1/agents", token=token)
        assert (answered.status, answered.problem) == (401, "unauthenticated")
        assert 'error="invalid_token"' in answered.headers["WWW-Authenticate"]
    basic = await world.get("/v1/agents", token="", headers={"Authorization": "Basic eDp5"})
    assert basic.status == 401


async def test_a_viewer_sees_and_changes_nothing(world):
    token = await issue_token(world.place, name="eyes", scope="viewer", expires_ms=WallMs(YEAR_MS))
    assert (await world.get("/v1/agents", token=token)).status == 200
    for path, body in (("/v1/jobs", job_body()), ("/v1/claims", {"site": "north"})):
        denied = await world.post(path, body, token=token)
        assert (denied.status, denied.problem) == (403, "denied")
        assert 'error="insufficient_scope"' in denied.headers["WWW-Authenticate"]


async def test_a_token_that_is_over_is_none(world):
    token = await issue_token(world.place, name="old", scope="admin", expires_ms=WallMs(1))
    assert (await world.get("/v1/agents", token=token)).status == 401


async def test_authentication_comes_before_anything_is_parsed(world):
    headers = {"Content-Type": "application/json"}
    answered = await world.request(
        "POST", "/v1/jobs?bogus=1", token="", headers=headers, data=b"{" * 5000
    )
    assert answered.status == 401


# --- machines -----------------------------------------------------------------------------------
async def test_liveness_and_readiness_need_no_token(world):
    assert (await world.get("/livez", token="")).body == b"ok\n"
    assert (await world.get("/readyz", token="")).body == b"ok\n"


async def test_metrics_count_what_happened(world, gateway):
    await gateway.contact(blocks={1: gateway.block(1.0, 2.0)})
    text = (await world.get("/metrics")).body.decode()
    assert 'outstation_contacts_total{chain="next"} 1.0' in text
    assert 'outstation_blocks_total{verdict="stored"} 1.0' in text
    assert "outstation_readings_total 2.0" in text
    assert 'outstation_http_requests_total{route="/v1/sync",status="200"} 1.0' in text
    assert "pump-station" not in text, "an agent's name is no label"


async def test_the_description_is_complete(world):
    described = (await world.get("/openapi.json", token="")).json
    assert described["openapi"] == "3.1.0"
    names = set(described["components"]["schemas"])
    assert {"AgentView", "JobSubmission", "JobView", "ExecutionView", "Problem"} <= names

    def references(value):
        if isinstance(value, dict):
            for key, inner in value.items():
                if key == "$ref":
                    yield inner.rpartition("/")[2]
                else:
                    yield from references(inner)
        elif isinstance(value, list):
            for inner in value:
                yield from references(inner)

    assert set(references(described)) <= names
    submit = described["paths"]["/v1/jobs"]["post"]
    assert {"202", "400", "401", "403", "409", "413", "415", "422", "503"} <= set(
        submit["responses"]
    )
    assert [one["name"] for one in submit["parameters"]] == ["validate_only", "idempotency-key"]


async def test_bodies_and_answers_are_described_as_they_are(world):
    paths = (await world.get("/openapi.json", token="")).json["paths"]

    def takes(method, path):
        return set(paths[path][method].get("requestBody", {"content": {}})["content"])

    def answers(method, path):
        return set(paths[path][method]["responses"])

    assert not any(takes("get", path) for path in paths if "get" in paths[path])
    assert takes("patch", "/v1/artifacts/{artifact}") == set(PIECE_TYPES)
    assert takes("post", "/v1/parcels") == {STICK_TYPE}
    assert takes("post", "/v1/sync") == {CONTENT_TYPE}
    submit = paths["/v1/jobs"]["post"]["responses"]
    kinds = {
        status: submit[status]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
        for status in ("200", "202")
    }
    assert kinds == {"200": "JobPreview", "202": "JobView"}
    for path in ("/v1/fetch/{artifact}", "/v1/artifacts/{artifact}/content"):
        assert {"200", "206", "416", "421"} <= answers("get", path)
    for path in ("/v1/jobs/{job}", "/v1/readings"):
        assert {"200", "304", "421"} <= answers("get", path)
    assert "206" not in answers("get", "/v1/jobs/{job}")
    assert "421" not in answers("get", "/livez")


# --- what is refused, and where -----------------------------------------------------------------
def writes(value: int) -> dict[str, object]:
    return {"steps": [{"id": "s", "action": "device.write", "params": {"p": value}}]}


@pytest.mark.parametrize(
    ("changes", "at"),
    [
        ({"targets": {"selector": "site=nowhere"}}, "targets.selector"),
        ({"targets": {"selector": "site in north"}}, "targets.selector"),
        ({"targets": {"agents": ["nobody"]}}, "targets.agents[0]"),
        ({"targets": {}}, "targets"),
        ({"targets": {"selectr": "x"}}, "targets.selectr"),
        ({"name": "Not A Name"}, "name"),
        ({"steps": []}, "steps"),
        ({"steps": [{"id": "a", "action": "device.melt"}]}, "steps[0].action"),
        ({"steps": [{"id": "a", "action": "device.read", "params": {}}]}, "steps[0].params"),
        (
            {"steps": [{"id": "a", "action": "device.read", "params": {"points": [1]}}]},
            "steps[0].params[...][0]",
        ),
        ({"steps": [{"id": "a"}]}, "steps[0]"),
        ({"delay_s": -1}, "delay_s"),
        ({"delay_s": "5"}, "delay_s"),
        ({"retry": {"failed": 10**6}}, "retry.failed"),
        ({"expires_in_s": 0}, "expires_in_s"),
        ({"not_after": "2020-01-01T00:00:00Z"}, "not_after"),
        ({"not_after": "2020-01-01T00:00:00"}, "not_after"),
        ({"not_after": "2999-01-01T00:00:00Z"}, "not_after"),
        ({"not_after": "2999-01-01T00:00:00Z", "expires_in_s": 60}, "expires_in_s"),
        ({"retry": {"multiplier": 1e305}}, "retry.multiplier"),
        (writes(1 << 64), "steps[0].params.p"),
        (writes(-(1 << 63) - 1), "steps[0].params.p"),
        ({"colour": "red"}, "colour"),
    ],
)
async def test_a_job_that_cannot_be_meant_is_pointed_at(world, gateway, changes, at):
    answered = await world.post("/v1/jobs", job_body(**changes))
    assert (answered.status, answered.problem) == (422, "invalid"), answered
    assert answered.json.get("at", "") == at
    assert answered.json["detail"]
    assert (await world.read("/v1/jobs"))["items"] == []


@pytest.mark.parametrize(
    ("path", "at"),
    [
        ("/v1/agents?page_size=0", "query.page_size"),
        ("/v1/agents?page_size=501", "query.page_size"),
        ("/v1/agents?page_size=many", "query.page_size"),
        ("/v1/agents?page_token=AAAA", "query.page_token"),
        ("/v1/agents?page_token=%00", "query.page_token"),
        ("/v1/agents?selector=a=b,,", "query.selector"),
        ("/v1/agents?colour=red", "query"),
        ("/v1/agents?page_size=1&page_size=2", "query.page_size"),
        ("/v1/executions?state=TIRED", "query.state"),
        ("/v1/executions?job=no-uuid", "query.job"),
        ("/v1/readings?start=yesterday", "query.start"),
        ("/v1/readings?limit=100001", "query.limit"),
        ("/v1/readings?format=xml", "query.format"),
    ],
)
async def test_a_query_that_cannot_be_meant_is_pointed_at(world, path, at):
    answered = await world.get(path)
    assert (answered.status, answered.problem) == (422, "invalid"), answered
    assert answered.json.get("at", "") == at


@pytest.mark.parametrize(
    ("method", "path", "status", "problem"),
    [
        ("GET", "/v1/agents/nobody", 404, "not-found"),
        ("GET", "/v1/jobs/nothing", 404, "not-found"),
        ("GET", f"/v1/jobs/{uuid_text(bytes(16))}", 404, "not-found"),
        ("GET", f"/v1/executions/{uuid_text(bytes(16))}", 404, "not-found"),
        ("POST", "/v1/agents/nobody/revoke", 404, "not-found"),
        ("GET", "/v2/agents", 404, "not-found"),
        ("GET", "/", 404, "not-found"),
        ("DELETE", "/v1/agents", 405, "method-not-allowed"),
        ("GET", "/v1/sync", 405, "method-not-allowed"),
    ],
)
async def test_what_is_not_there_is_said_so(world, method, path, status, problem):
    answered = await world.request(method, path)
    assert (answered.status, answered.problem) == (status, problem)


@pytest.mark.parametrize(
    ("data", "content_type", "status"),
    [
        (b"{", "application/json", 400),
        (b"", "application/json", 400),
        (b"\xff\xfe", "application/json", 400),
        (b"[" * 60_000, "application/json", 422),
        (b"{}", "text/plain", 415),
        (b"name=x", "application/x-www-form-urlencoded", 415),
    ],
)
async def test_a_body_that_is_no_json_object_is_refused(world, data, content_type, status):
    headers = {"Content-Type": content_type}
    answered = await world.request("POST", "/v1/jobs", headers=headers, data=data)
    assert answered.status == status, answered
    assert answered.problem


async def test_an_oversized_json_body_is_refused(world):
    async def endless():
        for _ in range(100):
            yield b" " * 4096

    headers = {"Content-Type": "application/json"}
    announced = await world.request(
        "POST", "/v1/jobs", headers=headers, data=b" " * (limits.REST_BODY_BYTES + 1)
    )
    chunked = await world.request("POST", "/v1/jobs", headers=headers, data=endless())
    for answered in (announced, chunked):
        assert (answered.status, answered.problem) == (413, "too-large")


async def test_a_job_too_large_to_be_signed_is_refused(world, gateway):
    step = {"id": "a", "action": "device.read", "params": {"points": ["p" * 900] * 20}}
    answered = await world.post("/v1/jobs", job_body(steps=[step]))
    assert answered.status == 422
    assert str(limits.SPEC_BYTES) in answered.json["detail"]


async def test_status_counts_the_fleet(world, gateway):
    await world.gateway("quiet", site="south")
    await gateway.contact(blocks={1: gateway.block(1.0)})
    await world.submit("quiet")
    status = await world.read("/v1/status")
    assert status["agents"] == {"ONLINE": 1, "ENROLLED": 1}
    assert status["jobs"] == {"IN_PROGRESS": 1, "COMPLETED": 0}
    assert status["executions"] == {"QUEUED": 1}
    assert status["readings"]["delivered"] == 1
    assert status["warnings"], "all keys lie on this machine, and that is said"
    assert json.dumps(status)


@pytest.mark.parametrize("junk", [b"GET / HTTP/1.1\r\nX: a\x00b\r\n\r\n", b"\x00\x01\x02\r\n\r\n"])
async def test_bytes_that_are_no_http_cost_their_sender_a_connection_and_us_a_line(
    world, caplog, junk
):
    port = int(world.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection(HOST, port, ssl=trust(world.place))
    writer.write(junk)
    assert (await reader.read()).startswith(b"HTTP/1.0 400")
    writer.close()
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        await writer.wait_closed()
    said = [record for record in caplog.records if record.name == "coordinator.http"]
    assert all(record.exc_info is None for record in said)
    assert (await world.get("/livez", token="")).status == 200
