"""A job once more, ``/v1/jobs/{job}/retry`` and ``clone``, and what was done about it."""

import struct
from functools import partial

import msgspec

from coordinator.api.context import Call
from coordinator.api.handing_in import hand_in, show_job
from coordinator.api.ids import missing, uuid_in_path
from coordinator.api.jobs import SubmitHeaders
from coordinator.api.paging import page_token, read_page_token
from coordinator.api.problems import Kind, ProblemError
from coordinator.api.router import Answer
from coordinator.contract.common import Page
from coordinator.contract.job_parts import DependencyBody
from coordinator.contract.job_spec import JobSubmission, SpecBody
from coordinator.contract.jobs import JobPreview, JobView, SubmitQuery
from coordinator.contract.repeats import CloneWish, JobEvent, JobEventQuery, RetryWish
from coordinator.transactions.jobs import view_job
from coordinator.transactions.repeats import failed_agents, list_job_events
from coordinator.transactions.rollouts_again import said_of_rollout
from shared import limits
from shared.clock import WallMs
from shared.ids import parse_uuid

_NUMBER = struct.Struct(">q")


async def retry_job(
    call: Call, job: str, query: SubmitQuery, headers: SubmitHeaders, body: RetryWish
) -> Answer[JobView] | Answer[JobPreview]:
    """Submit a job again, for the agents on which it failed and that are still its target."""
    view = await show_job(call, uuid_in_path(job, "job"))
    failed = partial(failed_agents, uuid_in_path(job, "job"), unknown_effects=body.unknown_effects)
    agents = await call.parts.store.read(failed)
    if not agents:
        raise ProblemError(
            Kind.CONFLICT,
            "it failed on no agent, or nobody knows whether it did",
            mend="look at the devices, then ask for unknown_effects",
        )
    return await hand_in(
        call,
        _again(view, body.expires_in_s, {"job_class": view.job_class}),
        validate_only=query.validate_only,
        key=headers.idempotency_key,
        origin=f"retry:{view.id}",
        only=frozenset(agents),
    )


async def clone_job(
    call: Call, job: str, query: SubmitQuery, headers: SubmitHeaders, body: CloneWish
) -> Answer[JobView] | Answer[JobPreview]:
    """Submit a new job that says what an old one said, its rollout included; for whom is new."""
    job_id = uuid_in_path(job, "job")
    view = await show_job(call, job_id)
    now_ms = call.parts.clock.wall_ms()
    read = partial(said_of_rollout, job_id, digest=view.digest, now_ms=now_ms)
    said = await call.parts.store.read(read)
    changes: dict[str, object] = {
        "job_class": view.job_class,
        "begins_after": await _waits_for(call, view, now_ms),
        "rollout": said.rollout,
        "gate": said.gate,
        "abort": said.abort,
        "deadlines": said.deadlines,
    }
    if body.targets is not None:
        changes["targets"] = body.targets
    if body.dry_run is not None:
        changes["dry_run"] = body.dry_run
    return await hand_in(
        call,
        _again(view, body.expires_in_s, changes),
        validate_only=query.validate_only,
        key=headers.idempotency_key,
        origin=f"clone:{view.id}",
    )


async def get_job_events(call: Call, job: str, query: JobEventQuery) -> Page[JobEvent]:
    """List what was done about a job, by whom and why, newest first."""
    secret, scope = call.parts.fleet.page_key, f"job events {job}"
    key = read_page_token(query.page_token, scope=scope, secret=secret)
    body = partial(
        list_job_events,
        uuid_in_path(job, "job"),
        before=_NUMBER.unpack(key)[0] if key else limits.INT_MAX,
        size=query.page_size,
        limit=call.limit,
    )
    found = await call.parts.store.read(body)
    if found is None:
        raise missing("job", job)
    events, more = found
    last = _NUMBER.pack(events[-1].number) if more else b""
    return Page(events, page_token(last, scope=scope, secret=secret) if more else None)


async def _waits_for(call: Call, view: JobView, now_ms: WallMs) -> DependencyBody | None:
    """Return what a job waited for; nothing where that is kept no more, having ended long ago."""
    if view.waits_for is None:
        return None
    before = parse_uuid(view.waits_for.job, what="job")
    found = await call.parts.store.read(partial(view_job, before, now_ms=now_ms))
    return None if found is None else view.waits_for


def _again(view: JobView, expires_in_s: int | None, changes: dict[str, object]) -> JobSubmission:
    said = {name: getattr(view.spec, name) for name in SpecBody.__struct_fields__}
    said |= {"expires_in_s": expires_in_s, **changes}
    return msgspec.structs.replace(JobSubmission(name=view.name), **said)
