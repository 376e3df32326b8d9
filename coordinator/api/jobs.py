"""``/v1/jobs`` and ``/v1/executions``: ask for work, and see what became of it."""

import re
from functools import partial
from hashlib import sha256
from typing import Annotated

import msgspec
from msgspec import Meta

from coordinator.api.context import Call
from coordinator.api.handing_in import hand_in, show_job
from coordinator.api.ids import job_filter, missing, uuid_in_path
from coordinator.api.paging import page_token, read_page_token
from coordinator.api.problems import Kind, ProblemError
from coordinator.api.router import Answer
from coordinator.contract.common import Page
from coordinator.contract.job_spec import JobSubmission
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
)
from shared import limits
from shared.errors import MistakeError
from shared.ids import parse_uuid
from shared.model.job import ExecutionState
from shared.runtime.logs import Events

_log = Events(__name__)
_WAIT = re.compile(r"(?:^|[\s,;])wait=([0-9]{1,6})(?:$|[\s,;])")


class SubmitHeaders(msgspec.Struct, frozen=True, rename={"idempotency_key": "idempotency-key"}):
    """A repeated request with the same key, path and body is one job."""

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
    return await hand_in(call, body, validate_only=query.validate_only, key=headers.idempotency_key)


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
        view = await show_job(call, job_id)
        known = headers.if_none_match or _etag(view)
        until_ms = parts.clock.mono_ms() + wait_s * 1000
        woken = len(parts.jobs) <= limits.REST_WAITING
        # Not everything that wakes changed this job: a replica's hint may mean all of them.
        while woken and known == _etag(view) and view.state not in SETTLED:
            left_ms = until_ms - parts.clock.mono_ms()
            if left_ms <= 0 or parts.jobs.closed:
                break
            woken = await waiter.wait(left_ms / 1000)
            view = await show_job(call, job_id)
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
    return Answer(await show_job(call, job_id), 202, {"Retry-After": "1"})


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
