"""Tokens over REST: what each may, what a limited one sees, and how they end."""

import pytest

from tests.system.approvals_world import token_of
from tests.system.coordinator_world import SCHEMA, job_body, open_world


@pytest.fixture
async def world(tmp_path):
    async with open_world(tmp_path) as made:
        await made.gateway("pump-n", site="north", role="pump")
        await made.gateway("pump-s", site="south", role="pump")
        yield made


@pytest.fixture
async def south(world):
    """A token of an operator who is there for the south only."""
    return await token_of(world.place, "sue", "operator", selector="site=south")


async def ids(world, path, token):
    return [one["id"] for one in (await world.get(path, token=token)).json["items"]]


async def test_a_limited_token_lists_its_agents_and_knows_of_no_other(world, south):
    assert await ids(world, "/v1/agents", south) == ["pump-s"]
    assert await ids(world, "/v1/agents?selector=role=pump", south) == ["pump-s"]
    assert await ids(world, "/v1/agents?selector=site=north", south) == []
    assert (await world.get("/v1/agents/pump-s", token=south)).status == 200
    unknown = await world.get("/v1/agents/pump-x", token=south)
    hidden = await world.get("/v1/agents/pump-n", token=south)
    assert (
        (hidden.status, hidden.problem) == (unknown.status, unknown.problem) == (404, "not-found")
    )


async def test_a_job_of_a_limited_token_goes_to_its_agents_only(world, south):
    body = job_body() | {"targets": {"selector": "role=pump"}}
    job = await world.post("/v1/jobs", body, token=south)
    assert (job.status, job.json["targets"]) == (202, 1)
    named = await world.post("/v1/jobs", job_body("pump-n"), token=south)
    assert (named.status, named.json["at"]) == (422, "targets.agents[0]")
    nobody = await world.post("/v1/jobs", job_body(), token=south)
    assert (nobody.status, nobody.json["at"]) == (422, "targets.selector")
    preview = await world.post("/v1/jobs?validate_only=true", body, token=south)
    assert preview.json["sample"] == ["pump-s"]


async def test_a_limited_token_sees_jobs_that_stay_within_its_agents(world, south):
    await world.submit("pump-n")
    await world.submit("pump-n", "pump-s")
    mine = await world.submit("pump-s")
    assert await ids(world, "/v1/jobs", south) == [mine["id"]]
    everything = (await world.read("/v1/jobs"))["items"]
    seen = [(await world.get(f"/v1/jobs/{job['id']}", token=south)).status for job in everything]
    assert seen == [200, 404, 404]


async def test_a_preview_names_no_job_that_reaches_beyond_its_agents(world, south):
    body = job_body("pump-s", conflict_key="firmware")

    async def named(token=None):
        found = await world.post("/v1/rollouts/preview", body, token=token)
        return [one["job"] for one in found.json["conflicts"]]

    hidden = await world.submit("pump-n", "pump-s", conflict_key="firmware")
    assert (await named(), await named(south)) == ([hidden["id"]], [])
    mine = await world.submit("pump-s", conflict_key="firmware")
    assert await named(south) == [mine["id"]]


async def test_pages_of_a_limited_token_are_whole(world, south):
    for _ in range(3):
        await world.submit("pump-n")
        await world.submit("pump-s")
    for noun in ("jobs", "executions"):
        found: list[str] = []
        page: str | None = ""
        while page is not None:
            query = f"?page_size=1&page_token={page}"
            answered = (await world.get(f"/v1/{noun}{query}", token=south)).json
            found += [one["id"] for one in answered["items"]]
            page = answered["next_page_token"]
        assert len(found) == len(set(found)) == 3, noun


async def test_executions_of_other_agents_are_hidden(world, south):
    job = await world.submit("pump-n", "pump-s")
    page = (await world.get(f"/v1/executions?job={job['id']}", token=south)).json
    assert [one["agent"] for one in page["items"]] == ["pump-s"]
    (hidden,) = (await world.read("/v1/executions?agent=pump-n"))["items"]
    assert (await world.get(f"/v1/executions/{hidden['id']}", token=south)).status == 404
    page = await world.get("/v1/executions?agent=pump-n", token=south)
    assert page.json["items"] == []


async def test_readings_of_other_agents_are_hidden_from_a_limited_token(world, south):
    """Every form of answer has only what the token's own agents measured."""
    gateways = [await world.gateway("meter-n"), await world.gateway("meter-s", site="south")]
    for number, gateway in enumerate(gateways):
        await gateway.contact(blocks={1: gateway.block(float(number))}, schemas=[SCHEMA.encode()])
    hidden = await world.get("/v1/readings?agent=meter-n", token=south)
    assert (hidden.status, hidden.json["at"]) == (404, "query.agent")
    for query in ("", "?agent=meter-*", "?agent=meter-s", "?selector=site+in+(north,south)"):
        found = (await world.get(f"/v1/readings{query}", token=south)).json["series"]
        assert [one["agent"] for one in found] == ["meter-s"]
    for form in ("csv", "jsonl"):
        answered = await world.get(f"/v1/readings?format={form}", token=south)
        assert b"meter-s" in answered.body
        assert b"meter-n" not in answered.body


async def test_what_concerns_the_whole_fleet_is_denied_to_a_limited_token(world):
    token = await token_of(world.place, "sue", "admin", selector="site=south")
    for path in ("/v1/status", "/metrics", "/v1/tokens", "/v1/audit"):
        denied = await world.get(path, token=token)
        assert (denied.status, denied.problem) == (403, "denied")
    assert (await world.post("/v1/agents/pump-n/revoke", {}, token=token)).status == 404
    assert (await world.post("/v1/agents/pump-s/revoke", {}, token=token)).status == 200


# --- tokens of tokens ---------------------------------------------------------------------------
async def test_a_token_is_made_used_listed_and_revoked(world):
    wish = {"name": "eyes", "scopes": ["viewer"], "selector": "site=south", "expires_in_s": 3600}
    made = await world.post("/v1/tokens", wish)
    assert made.status == 201
    text = made.json["token"]
    assert await ids(world, "/v1/agents", text) == ["pump-s"]
    listed = (await world.read("/v1/tokens"))["items"]
    (view,) = [one for one in listed if one["id"] == made.json["id"]]
    assert (view["scopes"], view["selector"], view["revoked_at"]) == (
        ["viewer"],
        "site=south",
        None,
    )
    assert all("token" not in one for one in listed)
    path = f"/v1/tokens/{view['id']}/revoke"
    assert (await world.post(path, {})).json["revoked_at"] is not None
    assert (await world.get("/v1/agents", token=text)).status == 401
    assert (await world.post(path, {})).status == 200, "once more does no harm"
    assert (await world.post("/v1/tokens/none/revoke", {})).problem == "not-found"


@pytest.mark.parametrize(
    ("changes", "at"),
    [
        ({"name": "Big Eyes"}, "name"),
        ({"scopes": []}, "scopes"),
        ({"scopes": ["viewer", "root"]}, "scopes[1]"),
        ({"selector": "site in north"}, "selector"),
        ({"expires_in_s": 1}, "expires_in_s"),
        ({"expires": 1}, "expires"),
    ],
)
async def test_a_mistake_in_a_wish_is_pointed_at(world, changes, at):
    wish = {"name": "eyes", "scopes": ["viewer"]} | changes
    answered = await world.post("/v1/tokens", wish)
    assert (answered.status, answered.problem) == (422, "invalid")
    assert answered.json.get("at", "") == at
    assert answered.json["detail"]


async def test_nobody_makes_a_token_that_may_more_than_he(world):
    token = await token_of(world.place, "clerk", "tokens:write,viewer")
    wish = {"name": "eyes", "scopes": ["operator"]}
    denied = await world.post("/v1/tokens", wish, token=token)
    assert (denied.status, denied.problem, denied.json["at"]) == (403, "denied", "scopes")
    assert (
        await world.post("/v1/tokens", wish | {"scopes": ["viewer"]}, token=token)
    ).status == 201


# --- the audit log ------------------------------------------------------------------------------
async def test_the_audit_log_says_who_what_and_from_where(world):
    job = await world.submit("pump-n")
    page = await world.read("/v1/audit?page_size=1")
    (entry,) = page["items"]
    assert (entry["action"], entry["object"]) == ("job.submit", f"job:{job['id']}")
    assert entry["actor"].endswith(" admin")
    assert entry["source"] == "127.0.0.1"
    assert entry["detail"]["name"] == "look"
    older = await world.read(f"/v1/audit?page_size=1&page_token={page['next_page_token']}")
    assert older["items"][0]["number"] == entry["number"] - 1
    only = await world.read("/v1/audit?action=token.create")
    assert {one["action"] for one in only["items"]} == {"token.create"}
