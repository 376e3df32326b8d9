"""``/v1/jobs`` and ``/v1/executions``: ask for work, and see what became of it."""

import re
from functools import partial
from hashlib import sha256
from typing import Annotated

import msgspec
from msgspec import Meta

from coordinator.api.context import Call
from coordinator.api.ids import job_filter, missing, uuid_in_path
from coordinator.api.paging import page_token, read_page_token
from coordinator.api.problems import Kind, ProblemError
from coordinator.api.router import Answer
from coordinator.contract.common import Page, to_wall_ms
from coordinator.contract.job_spec import JobSubmission, place_in_body, to_spec
from coordinator.contract.jobs import (
    SETTLED,
    ExecutionQuery,
    ExecutionView,
    JobPreview,
    JobQuery,
    JobView,
    SubmitQuery,
)
from coordinator.transactions.cancel import cancel
from coordinator.transactions.jobs import (
    NEWEST,
    Wanted,
    list_executions,
    list_jobs,
    view_execution,
    view_job,
)
from coordinator.transactions.submit import (
    Draft,
    KeyReusedError,
    Submission,
    draft,
    preview,
    submit,
)
from shared import limits
from shared.clock import WallMs
from shared.errors import MistakeError
from shared.ids import parse_uuid, uuid_text
from shared.model.job import ExecutionState
from shared.runtime.logs import Events

_log = Events(__name__)
_SAMPLE = 20
_WAIT = re.compile(r"(?:^|[\s,;])wait=([0-9]{1,6})(?:$|[\s,;])")


class SubmitHeaders(msgspec.Struct, frozen=True, rename={"idempotency_key": "idempotency-key"}):
    """A repeated request with the same key and body is one job."""

    idempotency_key: Annotated[str, Meta(max_length=64, pattern=r"^[\x21-\x7e]*$")] = ""


class WaitHeaders(msgspec.Struct, frozen=True, rename={"if_none_match": "if-none-match"}):
    """``Prefer: wait=30`` (RFC 7240): answer when the job changed, or after so many seconds."""

    prefer: str = ""
    if_none_match: str = ""


async def submit_job(
    call: Call, query: SubmitQuery, headers: SubmitHeaders, body: JobSubmission
) -> Answer[JobView] | Answer[JobPreview]:
    """Submit a job; its targets are resolved now, and each gets it at its next contact.

    Where the policy asks for people's approval it waits for them first (``PENDING_APPROVAL``).
    """
    parts, now_ms = call.parts, call.parts.clock.wall_ms()
    job = _draft(call, body, now_ms)
    if query.validate_only:
        agents = await parts.store.read(partial(preview, job, call.limit))
        sample = list(agents[:_SAMPLE])
        digest, needed = job.digest.hex(), job.threshold
        return Answer(JobPreview(digest, len(agents), sample, job.job_class, needed))
    submission = Submission(
        actor=call.actor,
        author=call.principal.name,
        limit=call.limit,
        token_id=call.principal.token_id,
        now_ms=now_ms,
        trace=call.trace,
        key=headers.idempotency_key,
        body_digest=sha256(call.body).digest(),
    )
    try:
        done = await parts.store.run(partial(submit, job, submission, parts.entropy), durable=True)
    except KeyReusedError:
        raise ProblemError(Kind.KEY_REUSED, at="headers.idempotency-key") from None
    _log.event("job_submitted", job=done.job, targets=len(done.agents), replayed=done.replayed)
    parts.work.wake(done.agents)
    parts.deadlines.look_again()
    reply_headers = {"Location": f"/v1/jobs/{uuid_text(done.job)}", "Retry-After": "1"}
    if done.replayed:
        reply_headers["Idempotent-Replayed"] = "true"
    return Answer(await _job(call, done.job), 202, reply_headers)


async def get_jobs(call: Call, query: JobQuery) -> Page[JobView]:
    """List jobs, newest first."""
    secret, scope = call.parts.fleet.page_key, f"jobs {query.standing}".strip()
    body = partial(
        list_jobs,
        before=read_page_token(query.page_token, scope=scope, secret=secret) or NEWEST,
        size=query.page_size,
        now_ms=call.parts.clock.wall_ms(),
        limit=call.limit,
        standing=query.standing,
    )
    views, more = await call.parts.store.read(body)
    last = parse_uuid(views[-1].id, what="a job") if more else b""
    token = page_token(last, scope=scope, secret=secret) if more else None
    return Page(views, token)


async def get_job(call: Call, job: str, headers: WaitHeaders) -> Answer[JobView]:
    """Return one job; with ``Prefer: wait=N`` hold the answer until it changes or is completed.

    With ``If-None-Match`` the wait is for a change since that answer, and 304 says there is none.
    """
    parts, job_id = call.parts, uuid_in_path(job, "job")
    wait_s = min(_wait_seconds(headers.prefer), limits.WAIT_S)
    with parts.jobs.enter(job_id) as waiter:
        view = await _job(call, job_id)
        changed = headers.if_none_match not in {"", _etag(view)}
        idle = len(parts.jobs) <= limits.REST_WAITING and not parts.jobs.closed
        if wait_s and idle and not changed and view.state not in SETTLED:
            await waiter.wait(wait_s)
            view = await _job(call, job_id)
    reply_headers = {"ETag": _etag(view)}
    if wait_s:
        reply_headers["Preference-Applied"] = f"wait={wait_s}"
    same = headers.if_none_match == _etag(view)
    return Answer(view, 304 if same else 200, reply_headers)


async def cancel_job(call: Call, job: str) -> Answer[JobView]:
    """Call a job off: at once where nothing was signed, else its agents are told to stop.

    Again and again does no harm. What each agent stopped, or that it was too late, shows in its
    execution's `cancel`.
    """
    parts, job_id = call.parts, uuid_in_path(job, "job")
    act = partial(cancel, job_id, actor=call.actor, now_ms=parts.clock.wall_ms(), limit=call.limit)
    done = await parts.store.run(act, durable=True)
    if done is None:
        raise missing("job", job)
    if done.settled:
        raise ProblemError(Kind.CONFLICT, done.settled)
    _log.event("job_canceled", job=job_id, told=len(done.agents))
    parts.work.wake(done.agents)
    parts.jobs.wake([job_id])
    return Answer(await _job(call, job_id), 202, {"Retry-After": "1"})


async def get_executions(call: Call, query: ExecutionQuery) -> Page[ExecutionView]:
    """List executions of one job, one agent or all, newest first."""
    secret = call.parts.fleet.page_key
    scope = f"executions {query.job} {query.agent} {query.state}"
    body = partial(
        list_executions,
        Wanted(
            job=job_filter(query.job),
            agent=query.agent,
            state=_state(query.state),
            limit=call.limit,
        ),
        before=read_page_token(query.page_token, scope=scope, secret=secret) or NEWEST,
        size=query.page_size,
    )
    views, more = await call.parts.store.read(body)
    last = parse_uuid(views[-1].id, what="an execution") if more else b""
    return Page(views, page_token(last, scope=scope, secret=secret) if more else None)


async def get_execution(call: Call, execution: str) -> ExecutionView:
    """Return one execution with its history."""
    body = partial(view_execution, uuid_in_path(execution, "execution"), call.limit)
    view = await call.parts.store.read(body)
    if view is None:
        raise missing("execution", execution)
    return view


def _draft(call: Call, body: JobSubmission, now_ms: WallMs) -> Draft:
    try:
        return draft(
            to_spec(body),
            call.parts.documents.now.shelf.policy,
            not_after_ms=_not_after(body, now_ms),
            now_ms=now_ms,
            wanted_class=body.job_class,
        )
    except MistakeError as error:
        raise MistakeError(error.what, where=place_in_body(error.where), mend=error.mend) from None


async def _job(call: Call, job: bytes) -> JobView:
    view = await call.parts.store.read(
        partial(view_job, job, now_ms=call.parts.clock.wall_ms(), limit=call.limit)
    )
    if view is None:
        raise missing("job", uuid_text(job))
    return view


def _not_after(body: JobSubmission, now_ms: WallMs) -> WallMs:
    if body.not_after is None:
        return WallMs(now_ms + (body.expires_in_s or limits.JOB_EXPIRES_S) * 1000)
    if body.expires_in_s is not None:
        raise MistakeError("give not_after or expires_in_s, not both", where="expires_in_s")
    return to_wall_ms(body.not_after)


def _state(text: str) -> int | None:
    if not text:
        return None
    if text not in ExecutionState.__members__:
        raise MistakeError(
            f"there is no state {text!r}",
            where="query.state",
            mend=f"use {', '.join(ExecutionState.__members__)}",
        )
    return ExecutionState[text]


def _etag(view: JobView) -> str:
    return f'"{sha256(msgspec.json.encode(view)).hexdigest()[:16]}"'


def _wait_seconds(prefer: str) -> int:
    found = _WAIT.search(prefer)
    return int(found[1]) if found else 0
