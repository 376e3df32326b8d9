"""Approvals at a real coordinator: who counts, when a job is released, what its grants carry."""

import asyncio
import base64
from hashlib import sha256

import pytest
from msgspec.structs import replace

from shared.ids import AgentId, key_id
from shared.model.job import JobSpec
from shared.trust.approval import SelectorTarget
from shared.trust.targets import list_digest
from shared.wire.codec import unpack
from tests.system.approvals_world import (
    DAY_MS,
    PEOPLE,
    STRANGER,
    approval_of,
    guard,
    sealed,
    sign,
    submit_write,
    token_of,
)
from tests.system.coordinator_world import client_of, found_in, job_body, serving


@pytest.fixture
async def world(tmp_path):
    place = await found_in(tmp_path)
    await guard(place)
    async with serving(place) as url, client_of(place, url) as made:
        yield made


@pytest.fixture
async def gateway(world):
    made = await world.gateway("pump-1")
    await made.contact()  # it has the guarded policy from now on
    return made


# --- what waits ---------------------------------------------------------------------------------
async def test_a_guarded_job_waits_and_nothing_of_it_goes_out(world, gateway):
    job = await submit_write(world)
    assert job["state"] == "PENDING_APPROVAL"
    assert job["counts"] == {}
    assert job["job_class"] == "operate"
    assert job["author"] == "admin"
    assert job["agreement"] == {"needed": 2, "people": [], "denied_by": "", "denied_reason": ""}
    _, admitted = await gateway.contact()
    assert admitted is None
    assert (await world.read("/v1/status"))["jobs"]["PENDING_APPROVAL"] == 1
    (waiting,) = (await world.read("/v1/approvals"))["items"]
    assert (waiting["job"], waiting["approvers"]) == (job["id"], ["anna", "ben", "cleo"])


async def test_what_asks_nobody_goes_out_at_once(world, gateway):
    job = await world.submit("pump-1")
    assert (job["state"], job["job_class"]) == ("IN_PROGRESS", "observe")
    assert len((await gateway.ordered()).jobs) == 1
    assert (await world.get(f"/v1/approvals/{job['id']}")).problem == "not-found"


async def test_a_preview_says_who_would_have_to_agree(world, gateway):
    body = job_body("pump-1") | {
        "name": "raise",
        "steps": [{"id": "a", "action": "device.write", "params": {"setpoint": 1}}],
    }
    answered = await world.post("/v1/jobs?validate_only=true", body)
    assert (answered.json["job_class"], answered.json["approvals_needed"]) == ("operate", 2)


async def test_the_form_holds_everything_that_is_signed(world, gateway):
    await world.gateway("pump-2")
    job = await submit_write(world, "pump-2", "pump-1")
    form = await world.read(f"/v1/approvals/{job['id']}")
    packed = base64.b64decode(form["spec"])
    assert sha256(packed).hexdigest() == form["digest"] == job["digest"]
    assert unpack(packed, JobSpec, bound=100_000).steps[0].params == {"setpoint": 4200}
    assert form["agents"] == ["pump-1", "pump-2"]
    assert list_digest(form["agents"]).hex() == form["agents_digest"]


# --- the threshold ------------------------------------------------------------------------------
async def test_a_job_is_released_exactly_when_enough_distinct_people_agreed(world, gateway):
    job = await submit_write(world)
    form = await sign(world, job["id"], "anna", "anna")
    assert (form["state"], form["people"], form["needed"]) == ("PENDING_APPROVAL", ["anna"], 2)
    assert len(form["votes"]) == 1, "who signs again replaces his own word"
    assert (await gateway.contact())[1] is None
    form = await sign(world, job["id"], "cleo")
    assert (form["state"], form["people"]) == ("IN_PROGRESS", ["anna", "cleo"])
    view = await world.read(f"/v1/jobs/{job['id']}")
    assert (view["state"], view["counts"]) == ("IN_PROGRESS", {"QUEUED": 1})
    assert view["agreement"]["people"] == ["anna", "cleo"]
    admitted = await gateway.ordered()
    assert [one.job_class for one in admitted.jobs] == ["operate"]
    assert admitted.jobs[0].approved_until_ms is not None, "it was admitted under approvals"


async def test_a_held_contact_gets_the_job_with_the_last_approval(world, gateway):
    job = await submit_write(world)
    await sign(world, job["id"], "anna")
    held = asyncio.create_task(gateway.ordered(wait=30))
    while not (await world.read("/v1/agents/pump-1"))["link"]["waiting"]:
        pass
    await sign(world, job["id"], "ben")
    assert len((await held).jobs) == 1


async def test_every_agent_of_a_list_gets_its_own_proof(world, gateway):
    others = [await world.gateway(f"pump-{number}") for number in range(2, 6)]
    job = await submit_write(world)
    await sign(world, job["id"], "anna", "ben")
    for one in (gateway, *others):
        assert len((await one.ordered()).jobs) == 1
    view = await world.read(f"/v1/jobs/{job['id']}")
    assert view["counts"] == {"QUEUED": 5}


async def test_the_author_is_never_among_them(world, gateway):
    token = await token_of(world.place, "anna", "operator")
    job = await submit_write(world, token=token)
    assert job["author"] == "anna"
    form = await world.read(f"/v1/approvals/{job['id']}")
    assert form["approvers"] == ["ben", "cleo"]
    body = sealed(approval_of(form), PEOPLE["anna"])
    answered = await world.post(f"/v1/approvals/{job['id']}/sign", body)
    assert (answered.status, answered.json["reason"]) == (422, "approval_by_author")
    assert answered.json["at"] == "envelope"
    assert (await sign(world, job["id"], "ben"))["state"] == "PENDING_APPROVAL"
    assert (await sign(world, job["id"], "cleo"))["state"] == "IN_PROGRESS"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"fleet": bytes(16)}, "wrong_fleet"),
        ({"job": bytes(32)}, "approval_other_job"),
        ({"job_class": "observe"}, "approval_other_job"),
        ({"author": "nobody"}, "approval_other_job"),
        ({"target": SelectorTarget("site=south")}, "approval_other_target"),
        ({"target": SelectorTarget("")}, "approval_other_target"),
        ({"not_after_ms": 1, "issued_ms": 0}, "approval_expired"),
        ({"max_executions": 0}, "approval_used_up"),
    ],
)
async def test_an_approval_of_anything_else_is_refused(world, gateway, changes, reason):
    job = await submit_write(world)
    form = await world.read(f"/v1/approvals/{job['id']}")
    body = sealed(approval_of(form, **changes), PEOPLE["anna"])
    answered = await world.post(f"/v1/approvals/{job['id']}/sign", body)
    assert (answered.status, answered.json["reason"]) == (422, reason)
    assert (await world.read(f"/v1/approvals/{job['id']}"))["votes"] == []


async def test_a_stranger_s_key_and_two_hands_on_one_paper_are_refused(world, gateway):
    job = await submit_write(world)
    path = f"/v1/approvals/{job['id']}/sign"
    form = await world.read(f"/v1/approvals/{job['id']}")
    answered = await world.post(path, sealed(approval_of(form), STRANGER))
    assert (answered.status, answered.problem) == (403, "signature-invalid")
    both = sealed(approval_of(form), PEOPLE["anna"], PEOPLE["ben"])
    assert (await world.post(path, both)).json["reason"] == "bad_schema"
    for text in ("", "!!", "AAAA"):
        answered = await world.post(path, {"envelope": text})
        assert answered.status == 422, text
        assert answered.json["at"] == "envelope"


async def test_a_shorter_list_is_another_list(world, gateway):
    await world.gateway("pump-2")
    job = await submit_write(world)
    form = await world.read(f"/v1/approvals/{job['id']}")
    target = replace(approval_of(form).target, count=1, digest=list_digest([AgentId("pump-1")]))
    body = sealed(approval_of(form, target=target), PEOPLE["anna"])
    answered = await world.post(f"/v1/approvals/{job['id']}/sign", body)
    assert answered.json["reason"] == "approval_other_target"


async def test_a_selector_may_be_approved_where_it_chose_the_agents(world, gateway):
    job = await submit_write(world)
    form = await sign(world, job["id"], "anna", target=SelectorTarget("site=north"))
    assert form["people"] == ["anna"]
    named = await submit_write(world, "pump-1", name="named")
    form = await world.read(f"/v1/approvals/{named['id']}")
    body = sealed(approval_of(form, target=SelectorTarget("site=north")), PEOPLE["anna"])
    answered = await world.post(f"/v1/approvals/{named['id']}/sign", body)
    assert answered.json["reason"] == "approval_other_target"


# --- a changed spec, an end, a repetition -------------------------------------------------------
async def test_a_changed_spec_is_another_job_with_no_approvals(world, gateway):
    first = await submit_write(world)
    form = await world.read(f"/v1/approvals/{first['id']}")
    body = sealed(approval_of(form), PEOPLE["anna"])
    steps = [{"id": "apply", "action": "device.write", "params": {"setpoint": 4201}}]
    second = await submit_write(world, steps=steps)
    assert second["digest"] != first["digest"]
    answered = await world.post(f"/v1/approvals/{second['id']}/sign", body)
    assert answered.json["reason"] == "approval_other_job"


async def test_a_job_may_begin_until_the_first_of_its_approvals_ends(world, gateway):
    job = await submit_write(world)
    form = await world.read(f"/v1/approvals/{job['id']}")
    soon = approval_of(form)
    soon = replace(soon, not_after_ms=soon.issued_ms + DAY_MS // 2)
    answered = await world.post(f"/v1/approvals/{job['id']}/sign", sealed(soon, PEOPLE["anna"]))
    assert answered.status == 200
    await sign(world, job["id"], "ben")
    (admitted,) = (await gateway.ordered()).jobs
    assert admitted.not_after_ms == soon.not_after_ms
    view = await world.read(f"/v1/jobs/{job['id']}")
    assert view["not_after"] < job["not_after"]


async def test_the_same_job_again_needs_approvals_that_allow_one_more(world, gateway):
    for earlier in (0, 1):
        job = await submit_write(world)
        form = await world.read(f"/v1/approvals/{job['id']}")
        assert form["earlier"] == earlier
        await sign(world, job["id"], "anna", "ben", max_executions=earlier + 1)
    third = await submit_write(world)
    form = await world.read(f"/v1/approvals/{third['id']}")
    body = sealed(approval_of(form, max_executions=2), PEOPLE["anna"])
    answered = await world.post(f"/v1/approvals/{third['id']}/sign", body)
    assert answered.json["reason"] == "approval_used_up"
    assert "allow 3 executions" in answered.json["detail"]


# --- the end of waiting -------------------------------------------------------------------------
async def test_a_denied_job_stays_denied(world, gateway):
    job = await submit_write(world)
    path = f"/v1/approvals/{job['id']}"
    await sign(world, job["id"], "anna")
    answered = await world.post(f"{path}/deny", {"reason": "the valve is being serviced"})
    assert (answered.status, answered.json["state"]) == (200, "DENIED")
    view = await world.read(f"/v1/jobs/{job['id']}")
    assert view["state"] == "DENIED"
    assert view["agreement"]["denied_reason"] == "the valve is being serviced"
    assert view["agreement"]["denied_by"].endswith(" admin")
    form = await world.read(path)
    answered = await world.post(f"{path}/sign", sealed(approval_of(form), PEOPLE["ben"]))
    assert (answered.status, answered.problem) == (409, "conflict")
    assert "serviced" in answered.json["detail"]
    assert (await gateway.contact())[1] is None
    assert (await world.read("/v1/approvals"))["items"] == []
    assert len((await world.read("/v1/approvals?state=all"))["items"]) == 1


async def test_a_released_job_takes_no_more_answers(world, gateway):
    job = await submit_write(world)
    form = await sign(world, job["id"], "anna", "ben")
    path = f"/v1/approvals/{job['id']}"
    for verb, body in (
        ("sign", sealed(approval_of(form), PEOPLE["cleo"])),
        ("deny", {"reason": "too late"}),
    ):
        answered = await world.post(f"{path}/{verb}", body)
        assert (answered.status, answered.problem) == (409, "conflict"), verb


async def test_who_waits_for_a_job_hears_of_its_denial(world, gateway):
    job = await submit_write(world)
    path = f"/v1/jobs/{job['id']}"
    first = await world.get(path)
    waits = asyncio.create_task(
        world.get(path, headers={"Prefer": "wait=30", "If-None-Match": first.headers["ETag"]})
    )
    await world.post(f"/v1/approvals/{job['id']}/deny", {"reason": "no"})
    assert (await waits).json["state"] == "DENIED"


async def test_the_audit_log_tells_who_agreed_to_what(world, gateway):
    job = await submit_write(world)
    await sign(world, job["id"], "anna", "ben")
    log = await world.read(f"/v1/audit?object=job:{job['id']}")
    actions = [(one["action"], one["detail"].get("person")) for one in log["items"]]
    assert actions == [
        ("job.release", None),
        ("approval.sign", "ben"),
        ("approval.sign", "anna"),
        ("job.submit", None),
    ]
    signed = log["items"][1]
    assert signed["detail"]["digest"] == job["digest"]
    assert signed["detail"]["key"] == key_id(PEOPLE["ben"].public_key).hex()
    assert signed["source"] == "127.0.0.1"


async def test_an_approver_may_answer_and_not_ask(world, gateway):
    approver = await token_of(world.place, "ben", "approver")
    operator = await token_of(world.place, "olga", "operator")
    body = job_body("pump-1")
    assert (await world.post("/v1/jobs", body, token=approver)).problem == "denied"
    job = await submit_write(world, token=operator)
    form = await world.read(f"/v1/approvals/{job['id']}")
    signed = sealed(approval_of(form), PEOPLE["ben"])
    path = f"/v1/approvals/{job['id']}/sign"
    assert (await world.post(path, signed, token=operator)).problem == "denied"
    assert (await world.post(path, signed, token=approver)).status == 200
