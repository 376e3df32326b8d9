"""``/v1/approvals``: what people are asked, and their answers.

An answer is a sealed document: who posts it matters less than whose key signed it.
"""

import base64
import binascii
from functools import partial

from coordinator.api.context import Call
from coordinator.api.ids import job_id
from coordinator.api.paging import page_token, read_page_token
from coordinator.api.problems import Kind, ProblemError
from coordinator.contract.approvals import (
    ApprovalForm,
    ApprovalQuery,
    ApprovalView,
    DenyBody,
    SignBody,
)
from coordinator.contract.common import Page
from coordinator.transactions.approvals import (
    Bench,
    SettledError,
    approve,
    deny,
    list_approvals,
    view_approval,
)
from coordinator.transactions.jobs import NEWEST
from shared import limits
from shared.errors import Reason, RefusedError
from shared.ids import parse_uuid
from shared.runtime.logs import Events

_log = Events(__name__)


async def get_approvals(call: Call, query: ApprovalQuery) -> Page[ApprovalView]:
    """List jobs that people have to agree to, newest first; those that still wait, or all."""
    secret, scope = call.parts.fleet.page_key, f"approvals {query.state}"
    body = partial(
        list_approvals,
        _bench(call),
        pending=query.state == "pending",
        before=read_page_token(query.page_token, scope=scope, secret=secret) or NEWEST,
        size=query.page_size,
    )
    views, more = await call.parts.store.read(body)
    last = parse_uuid(views[-1].job, what="a job") if more else b""
    return Page(views, page_token(last, scope=scope, secret=secret) if more else None)


async def get_approval(call: Call, job: str) -> ApprovalForm:
    """Return everything that an approver of a job signs, and who did already."""
    view = await call.parts.store.read(partial(view_approval, job_id(job), _bench(call)))
    if view is None:
        raise _missing(job)
    return view


async def sign_approval(call: Call, job: str, body: SignBody) -> ApprovalForm:
    """Keep an approval; the job goes out once as many distinct people agreed as the policy asks.

    The author's own never counts, nor does one of another job, class, list or time.
    """
    parts, asked = call.parts, job_id(job)
    envelope = _decode(body.envelope)
    act = partial(approve, asked, envelope, _bench(call), actor=call.actor)
    try:
        agreed = await parts.store.run(act, durable=True)
    except SettledError as error:
        raise ProblemError(Kind.CONFLICT, str(error)) from None
    except RefusedError as error:
        unknown = error.reason is Reason.THRESHOLD_NOT_MET
        raise ProblemError(
            Kind.SIGNATURE_INVALID if unknown else Kind.INVALID,
            error.detail or error.reason.text,
            at="envelope",
            reason=error.reason.text,
        ) from None
    if agreed is None:
        raise _missing(job)
    if agreed.released:
        _log.event("job_released", job=asked, targets=len(agreed.released))
        parts.work.wake(agreed.released)
        parts.deadlines.look_again()
    parts.jobs.wake([asked])
    return await get_approval(call, job)


async def deny_approval(call: Call, job: str, body: DenyBody) -> ApprovalForm:
    """Let a job never run, whoever agreed to it before."""
    parts, asked = call.parts, job_id(job)
    try:
        known = await parts.store.run(
            partial(deny, asked, body.reason, _bench(call), actor=call.actor), durable=True
        )
    except SettledError as error:
        raise ProblemError(Kind.CONFLICT, str(error)) from None
    if not known:
        raise _missing(job)
    parts.jobs.wake([asked])
    return await get_approval(call, job)


def _bench(call: Call) -> Bench:
    force = call.parts.documents.now
    return Bench(
        fleet=force.fleet.fleet_id,
        policy=force.shelf.policy,
        now_ms=call.parts.clock.wall_ms(),
        limit=call.limit,
    )


def _decode(text: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        data = b""
    if not 0 < len(data) <= limits.APPROVAL_BYTES:
        raise ProblemError(Kind.INVALID, "it is no base64 of a sealed approval", at="envelope")
    return data


def _missing(job: str) -> ProblemError:
    return ProblemError(Kind.NOT_FOUND, f"nobody is asked about a job {job!r}", at="path.job")
