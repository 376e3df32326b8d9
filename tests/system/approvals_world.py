"""People with keys, and a fleet whose policy asks them before anything is written.

Owns the guarded policy and what an approver signs. Leaves out who accepts it.
"""

import asyncio
import base64
from typing import Any

from msgspec.structs import replace

from coordinator.__main__ import main
from coordinator.core.policy_text import render_policy
from coordinator.errands import issue_token
from coordinator.place import Place, open_fleet
from shared.clock import WallMs
from shared.ids import key_id
from shared.runtime.clock import SystemClock
from shared.trust.approval import APPROVAL_TYP, AgentsTarget, Approval
from shared.trust.envelope import KeySigner, seal
from shared.trust.policy import Approver, ClassRule, Policy
from shared.trust.starter import OPERATE
from shared.wire.codec import pack
from tests.system.coordinator_world import World, job_body

NEVER_MS = WallMs(1 << 50)
DAY_MS = 86_400_000
PEOPLE = {name: KeySigner(name.encode().ljust(32, b"!")) for name in ("anna", "ben", "cleo")}
STRANGER = KeySigner(b"stranger".ljust(32, b"!"))
WRITE = {
    "name": "raise",
    "steps": [{"id": "apply", "action": "device.write", "params": {"setpoint": 4200}}],
}


async def guard(place: Place, threshold: int = 2) -> Policy:
    """Publish a policy by which `threshold` of three people agree to each write."""
    async with open_fleet(place) as (_, fleet):
        before = fleet.trusted().policy
    rule = before.classes[OPERATE]
    approvers = [Approver(name, signer.public_key) for name, signer in PEOPLE.items()]
    keys = [bytes(key_id(approver.key)) for approver in approvers]
    guarded = ClassRule(threshold, keys, rule.offline_grace_s, rule.actions)
    policy = replace(before, approvers=approvers, classes={**before.classes, OPERATE: guarded})
    file = place.directory.path.parent / "policy.toml"
    file.write_text(render_policy(policy))
    data = str(place.directory.path)
    status = await asyncio.to_thread(main, ["policy", "publish", "--data", data, str(file)])
    assert status == 0
    return policy


async def token_of(place: Place, name: str, scope: str, **rest: str) -> str:
    """Make a person's token."""
    return await issue_token(place, name=name, scope=scope, expires_ms=NEVER_MS, **rest)


async def submit_write(world: World, *agents: str, token: str | None = None, **changes: Any) -> Any:
    """Submit a guarded job; returns its view."""
    body = job_body(*agents) | WRITE | changes
    answered = await world.post("/v1/jobs", body, token=token)
    assert answered.status == 202, answered
    return answered.json


def approval_of(form: Any, **changes: Any) -> Approval:
    """Return what an approver signs, by what he was shown."""
    now_ms = SystemClock().wall_ms()
    approval = Approval(
        fleet=bytes.fromhex(form["fleet"]),
        job=bytes.fromhex(form["digest"]),
        job_class=form["job_class"],
        author=form["author"],
        target=AgentsTarget(bytes.fromhex(form["agents_digest"]), len(form["agents"])),
        issued_ms=now_ms,
        not_after_ms=now_ms + DAY_MS,
        max_executions=1,
    )
    return replace(approval, **changes)


def sealed(approval: Approval, *signers: KeySigner) -> dict[str, str]:
    """Return the body that posts a signed approval."""
    envelope = seal(APPROVAL_TYP, pack(approval), signers)
    return {"envelope": base64.b64encode(envelope).decode()}


async def sign(world: World, job: str, *people: str, **changes: Any) -> Any:
    """Let people sign a job, one after the other; returns the last form."""
    form = await world.read(f"/v1/approvals/{job}")
    for person in people:
        body = sealed(approval_of(form, **changes), PEOPLE[person])
        answered = await world.post(f"/v1/approvals/{job}/sign", body)
        assert answered.status == 200, answered
        form = answered.json
    return form
