"""Who gets which answer from each route: asked of a real coordinator, written as one table.

Each cell is the status of a request that would be served if the one who asks may: paths name
things that exist, bodies are usable, and what a request uses up is made anew for it. A route that
nobody thought of here is asked with an empty body, so it has a row all the same. Make the table
anew with ``python -m tests.golden.rest.matrix``.
"""

import asyncio
import hashlib
import re
import sys
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from coordinator.api.router import PUBLIC, Route
from coordinator.api.routes import ROUTES
from coordinator.contract.artifacts import BYTES_TYPE
from shared.ids import parse_uuid
from shared.model.artifact import artifact_text, parse_artifact
from shared.model.job import ExecutionState, Value
from shared.model.support import cut
from shared.runtime.clock import SystemClock
from shared.sync.body import CONTENT_TYPE
from shared.trust.envelope import KeySigner, seal
from shared.trust.fetch import Fetch, fetch_header
from shared.trust.words import LABELS_TYP, SUPPORT_TYP, Labels, Support
from shared.wire.codec import pack
from tests.system.approvals_world import (
    PEOPLE,
    approval_of,
    guard,
    sealed,
    sign,
    submit_write,
    token_of,
)
from tests.system.coordinator_world import (
    Gateway,
    World,
    body,
    client_of,
    found_in,
    job_body,
    serving,
)
from tests.system.rest_client import Answered

FILE = Path(__file__).parent / "matrix.txt"
WHO = (
    *("anonymous", "agent", "other agent"),
    *("viewer", "operator", "approver", "admin", "admin of the south"),
)
"""The last one's token is limited to agents of another site than all that the requests name."""
_TOKENS = {
    "viewer": ("viewer", ""),
    "operator": ("operator", ""),
    "approver": ("approver", ""),
    "admin": ("admin", ""),
    "admin of the south": ("admin", "site=south"),
}
_JSON = "application/json"


@dataclass
class Scene:
    """What the requests are about, and who asks."""

    world: World
    agent: Gateway
    other: Gateway
    tokens: Mapping[str, str] = field(default_factory=dict)
    made: int = 0

    async def ask(self, route: Route, who: str) -> Answered:
        """Send one request."""
        path = await self._path(route)
        token = self.tokens.get(who, "")
        if route.path == "/v1/fetch/{artifact}":
            return await self.world.get(path, token=token, headers=_fetch(self, who, path))
        if route.method == "PATCH":
            headers = {"Content-Type": BYTES_TYPE, "Upload-Offset": "0"}
            return await self.world.request("PATCH", path, token=token, headers=headers, data=b"x")
        if route.path == "/v1/events/stream":
            path += "?seconds=0"  # else it lasts for hours
        if route.method in {"GET", "HEAD", "DELETE"}:
            return await self.world.request(route.method, path, token=token)
        if who in {"agent", "other agent"} or route.path in _SIGNED:
            data = await _SIGNED.get(route.path, _report)(self, who)
            headers = {"Content-Type": CONTENT_TYPE}
            return await self.world.request(
                route.method, path, token=token, headers=headers, data=data
            )
        wanted = await _BODIES.get(route.path, _empty)(self, path)
        return await self.world.request(route.method, path, token=token, body=wanted)

    async def _path(self, route: Route) -> str:
        path = route.path
        for name in re.findall(r"{(\w+)}", route.path):
            value = await _NAMES[name](self, route)
            path = path.replace("{" + name + "}", value)
        return path

    def world_ms(self) -> int:
        """Return the time; the coordinator runs on this machine."""
        return SystemClock().wall_ms()

    def fresh(self) -> str:
        """Return a name that nothing has yet."""
        self.made += 1
        return f"thing-{self.made}"


# --- what paths name ----------------------------------------------------------------------------
async def _agent(scene: Scene, route: Route) -> str:
    if route.method == "GET":
        return scene.agent.name
    return (await scene.world.gateway(scene.fresh())).name


async def _job(scene: Scene, route: Route) -> str:
    if "approvals" in route.path:
        return str((await submit_write(scene.world, scene.agent.name, name=scene.fresh()))["id"])
    rest: dict[str, object] = {}
    if "rollouts" in route.path:
        undo = {"id": "undo", "action": "device.read", "params": {"points": ["current"]}}
        rest = {"rollout": {"maximum_per_minute": 9}, "compensation": {"steps": [undo]}}
    job = str((await scene.world.submit(scene.agent.name, name=scene.fresh(), **rest))["id"])
    if "retry" in route.path:
        page = await scene.world.read(f"/v1/executions?job={job}")
        execution = parse_uuid(page["items"][0]["id"], what="an execution")
        told = scene.agent.receipt(2000 + scene.made, execution, ExecutionState.FAILED)
        await scene.agent.contact(receipts=[told])
    return job


async def _template(scene: Scene, route: Route) -> str:
    if route.method != "DELETE":
        return "check-health"
    body = await _template_body(scene, "")
    return str((await scene.world.post("/v1/templates", body)).json["name"])


async def _trigger(scene: Scene, _route: Route) -> str:
    body = await _trigger_body(scene, "")
    return str((await scene.world.post("/v1/triggers", body)).json["trigger"]["name"])


async def _execution(scene: Scene, _route: Route) -> str:
    page = await scene.world.read(f"/v1/executions?agent={scene.agent.name}&page_size=1")
    return str(page["items"][0]["id"])


async def _token(scene: Scene, _route: Route) -> str:
    made = await scene.world.post("/v1/tokens", {"name": scene.fresh(), "scopes": ["viewer"]})
    return str(made.json["id"])


async def _enrolment(scene: Scene, _route: Route) -> str:
    made = await scene.world.post("/v1/agents", await _register(scene, ""))
    return str(made.json["id"])


async def _artifact(scene: Scene, route: Route) -> str:
    if "fetch" in route.path:
        data = b"for an agent"
        await _push(scene, data)
        name = artifact_text(hashlib.sha256(data).digest())
        step = {"id": "get", "action": "agent.fetch", "params": {"artifact": name, "size": 12}}
        job = await scene.world.submit(scene.agent.name, name=scene.fresh(), steps=[step])
        await sign(scene.world, job["id"], "anna", "ben")
        for _ in range(2):
            await scene.agent.contact()
        return name
    data = scene.fresh().encode()
    await _push(scene, data if route.method != "PATCH" else data[:0], data)
    return artifact_text(hashlib.sha256(data).digest())


async def _push(scene: Scene, data: bytes, whole: bytes = b"") -> None:
    digest = hashlib.sha256(whole or data).digest()
    wish = {"artifact": artifact_text(digest), "size": len(whole or data)}
    await scene.world.post("/v1/artifacts", wish)
    if data:
        headers = {"Content-Type": BYTES_TYPE, "Upload-Offset": "0"}
        path = f"/v1/artifacts/{artifact_text(digest)}"
        await scene.world.request("PATCH", path, data=data, headers=headers)


async def _bundle(scene: Scene, _route: Route) -> str:
    text, root = b"status", scene.agent.root
    digest = hashlib.sha256(text).digest()
    (piece,) = cut(text)
    word = Support(root.fleet, scene.agent.name, "a", digest, len(text), 1, 0, piece)
    said = seal(SUPPORT_TYP, pack(word), [scene.agent.signer])
    headers = {"Content-Type": CONTENT_TYPE}
    await scene.world.request("POST", "/v1/word", token="", data=said, headers=headers)
    return digest.hex()


async def _device(scene: Scene, _route: Route) -> str:
    scene.fresh()
    result: dict[str, Value] = {"look._profile_hash": "00", "look._vendor": "Acme"}
    told = scene.agent.receipt(1000 + scene.made, bytes(16), 2, device="pump-1", result=result)
    await scene.agent.contact(receipts=[told])
    return "pump-1"


_NAMES: Mapping[str, Callable[[Scene, Route], Awaitable[str]]] = {
    "agent": _agent,
    "artifact": _artifact,
    "bundle": _bundle,
    "device": _device,
    "job": _job,
    "execution": _execution,
    "template": _template,
    "token": _token,
    "trigger": _trigger,
    "enrolment": _enrolment,
}


# --- what people send ---------------------------------------------------------------------------
async def _empty(_scene: Scene, _path: str) -> object:
    return {}


async def _submission(scene: Scene, _path: str) -> object:
    return job_body(scene.agent.name)


async def _claim(_scene: Scene, _path: str) -> object:
    return {"site": "north"}


async def _register(scene: Scene, _path: str) -> object:
    digest = hashlib.sha256(scene.fresh().encode()).hexdigest()[:32]
    return {"fingerprint": digest, "site": "north", "name": scene.fresh()}


async def _sign(scene: Scene, path: str) -> object:
    form = await scene.world.read(path.removesuffix("/sign"))
    return sealed(approval_of(form), PEOPLE["anna"])


async def _deny(_scene: Scene, _path: str) -> object:
    return {"reason": "no"}


async def _announce(scene: Scene, _path: str) -> object:
    digest = hashlib.sha256(scene.fresh().encode()).digest()
    return {"artifact": artifact_text(digest), "size": 5}


async def _template_body(scene: Scene, _path: str) -> object:
    step = {"id": "health", "action": "agent.health"}
    return {"name": scene.fresh(), "job": {"steps": [step]}}


async def _template_use(scene: Scene, _path: str) -> object:
    return {"targets": {"agents": [scene.agent.name]}}


async def _trigger_body(scene: Scene, _path: str) -> object:
    targets = {"agents": [scene.agent.name]}
    times = {"interval_s": 86_400}
    trigger = {"template": "check-health", "schedule": times, "targets": targets}
    return {"name": scene.fresh(), **trigger}


async def _wish(scene: Scene, _path: str) -> object:
    return {"name": scene.fresh(), "scopes": ["viewer"]}


async def _ignoring(_scene: Scene, _path: str) -> object:
    return {"place": "rs485/5"}


_BODIES: Mapping[str, Callable[[Scene, str], Awaitable[object]]] = {
    "/v1/jobs": _submission,
    "/v1/rollouts/preview": _submission,
    "/v1/claims": _claim,
    "/v1/agents": _register,
    "/v1/agents/{agent}/candidates": _ignoring,
    "/v1/approvals/{job}/sign": _sign,
    "/v1/approvals/{job}/deny": _deny,
    "/v1/artifacts": _announce,
    "/v1/templates": _template_body,
    "/v1/templates/{template}/submit": _template_use,
    "/v1/triggers": _trigger_body,
    "/v1/tokens": _wish,
}


# --- what gateways send: the agent its own report, the other one a report in the agent's name ----
async def _report(scene: Scene, who: str) -> bytes:
    if who not in {"agent", "other agent"}:
        return b""
    signer = scene.agent.signer if who == "agent" else scene.other.signer
    return body(scene.agent.report(signer=signer))


async def _enrol(scene: Scene, who: str) -> bytes:
    if who == "agent":
        return scene.agent.enrolment("pump-1")
    # The claim was good for one key.
    newcomer = Gateway(scene.world, KeySigner(b"newcomer".ljust(32, b".")), scene.agent.claim)
    return newcomer.enrolment("pump-3") if who == "other agent" else b""


def _fetch(scene: Scene, who: str, path: str) -> Mapping[str, str]:
    if who not in {"agent", "other agent"}:
        return {}
    digest = parse_artifact(path.rpartition("/")[2], where="")
    at_ms = scene.world_ms()
    wish = Fetch(scene.agent.root.fleet, scene.agent.name, digest, at_ms)
    signer = scene.agent.signer if who == "agent" else scene.other.signer
    return {"Authorization": fetch_header(wish, signer)}


async def _word(scene: Scene, who: str) -> bytes:
    if who not in {"agent", "other agent"}:
        return b""
    signer = scene.agent.signer if who == "agent" else scene.other.signer
    labels = Labels(scene.agent.root.fleet, scene.agent.name, 1, {"role": "pump"})
    return seal(LABELS_TYP, pack(labels), [signer])


_SIGNED: Mapping[str, Callable[[Scene, str], Awaitable[bytes]]] = {
    "/v1/sync": _report,
    "/v1/enroll": _enrol,
    "/v1/word": _word,
}


async def draw() -> str:
    """Return the table as a coordinator answers now."""
    with tempfile.TemporaryDirectory(prefix="outstation-matrix-") as folder:
        place = await found_in(Path(folder))
        await guard(place)
        async with serving(place) as url, client_of(place, url) as world:
            scene = Scene(world, await world.gateway("pump-1"), await world.gateway("pump-2"))
            scene.tokens = {
                name: await token_of(place, name.replace(" ", "-"), scope, selector=selector)
                for name, (scope, selector) in _TOKENS.items()
            }
            await world.submit(scene.agent.name)
            rows = [
                [route.method + " " + route.path, route.scope or "-"]
                + [str((await scene.ask(route, who)).status) for who in WHO]
                for route in sorted(ROUTES, key=lambda one: (one.path, one.method))
            ]
    return _table([["route", "scope", *WHO], *rows])


def _table(rows: list[list[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )
    return "\n".join(lines) + "\n"


assert PUBLIC == "", "an empty scope is drawn as a hyphen"

if __name__ == "__main__":
    FILE.write_text(asyncio.run(draw()))
    sys.stdout.write(FILE.read_text())
