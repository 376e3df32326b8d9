"""A job is handed in, whatever it was made from: written anew, a template, a job that failed."""

from functools import partial
from hashlib import sha256

from coordinator.api.context import Call
from coordinator.api.ids import missing
from coordinator.api.problems import Kind, ProblemError
from coordinator.api.router import Answer
from coordinator.contract.job_spec import JobSubmission
from coordinator.contract.jobs import JobPreview, JobView
from coordinator.contract.trace import trace_id
from coordinator.core.ports import Tx
from coordinator.transactions.device_words import reach_of
from coordinator.transactions.jobs import view_job
from coordinator.transactions.releases import check_releases
from coordinator.transactions.submit import (
    Draft,
    KeyReusedError,
    Submission,
    draft_body,
    preview,
    submit,
)
from shared.ids import AgentId, uuid_text
from shared.model.selector import Selector
from shared.runtime.logs import Events
from shared.trust.catalog import Catalog
from shared.wire.codec import pack

_log = Events(__name__)
_SAMPLE = 20


async def hand_in(
    call: Call,
    body: JobSubmission,
    *,
    validate_only: bool,
    key: str,
    origin: str = "",
    only: frozenset[AgentId] | None = None,
) -> Answer[JobView] | Answer[JobPreview]:
    """Submit a job in the caller's name, or only tell what that would do.

    Args:
        call: the request.
        body: the job.
        validate_only: check everything, submit nothing.
        key: the Idempotency-Key, empty for none.
        origin: what the job was made from.
        only: of its targets only these; None: all of them.

    Raises:
        MistakeError: names the member at fault.
        ProblemError: the key belongs to another request.
    """
    parts = call.parts
    shelf = parts.documents.now.shelf
    job = draft_body(body, shelf.policy, parts.clock.wall_ms())
    if validate_only:
        view = await parts.store.read(partial(_tried, job, call.limit, only, shelf.catalog))
        return Answer(view)
    submission = _submission(call, key=key, origin=origin, only=only)
    try:
        done = await parts.store.run(partial(submit, job, submission, parts.entropy), durable=True)
    except KeyReusedError:
        raise ProblemError(Kind.KEY_REUSED, at="headers.idempotency-key") from None
    _log.event(
        "job_submitted",
        job=done.job,
        targets=len(done.agents),
        replayed=done.replayed,
        trace=trace_id(call.trace) or None,
    )
    parts.work.wake(done.agents)
    parts.jobs.wake([done.job])
    parts.deadlines.look_again()
    reply_headers = {"Location": f"/v1/jobs/{uuid_text(done.job)}", "Retry-After": "1"}
    if done.replayed:
        reply_headers["Idempotent-Replayed"] = "true"
    return Answer(await show_job(call, done.job), 202, reply_headers)


def _submission(
    call: Call, *, key: str, origin: str, only: frozenset[AgentId] | None
) -> Submission:
    """Return who asks and how, as it is kept with the job."""
    return Submission(
        actor=call.actor,
        author=call.principal.name,
        limit=call.limit,
        token_id=call.principal.token_id,
        now_ms=call.parts.clock.wall_ms(),
        trace=call.trace,
        origin=origin,
        only=only,
        key=key,
        body_digest=sha256(pack([call.path, call.body])).digest(),
        catalog=call.parts.documents.now.shelf.catalog,
    )


def _tried(
    job: Draft, limit: Selector | None, only: frozenset[AgentId] | None, catalog: Catalog
) -> Tx[JobPreview]:
    agents = yield from preview(job, limit, only)
    yield from check_releases(job.spec, agents, catalog)
    reach = yield from reach_of(job.spec.targets, agents)
    return JobPreview(
        digest=job.digest.hex(),
        targets=len(agents),
        sample=list(agents[:_SAMPLE]),
        job_class=job.job_class,
        approvals_needed=job.threshold,
        devices=reach.devices,
        unasked=reach.unasked,
        silent_devices=reach.silent,
    )


async def show_job(call: Call, job: bytes) -> JobView:
    """Return a job as it is now.

    Raises:
        ProblemError: there is none of this id within the caller's limit.
    """
    view = await call.parts.store.read(
        partial(view_job, job, now_ms=call.parts.clock.wall_ms(), limit=call.limit)
    )
    if view is None:
        raise missing("job", uuid_text(job))
    return view
