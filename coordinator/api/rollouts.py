"""``/v1/rollouts``: how far a job has gone over the fleet, why it waits, and steering it."""

from functools import partial

from coordinator.api.context import Call
from coordinator.api.ids import missing, uuid_in_path
from coordinator.api.paging import page_token, read_page_token
from coordinator.api.problems import Kind, ProblemError
from coordinator.api.router import Answer
from coordinator.contract.common import Page
from coordinator.contract.job_spec import JobSubmission
from coordinator.contract.rollouts import (
    MemberQuery,
    MemberView,
    RolloutPreview,
    RolloutQuery,
    RolloutView,
)
from coordinator.core.rollout_policy import RolloutState
from coordinator.transactions.dispatch import Bench, OvertakenError
from coordinator.transactions.jobs import NEWEST
from coordinator.transactions.rollouts_preview import preview_rollout as look
from coordinator.transactions.rollouts_steer import Asked, NotNowError, Verb, steer
from coordinator.transactions.rollouts_view import list_members, list_rollouts, view_rollout
from coordinator.transactions.submit import draft_body
from shared.ids import parse_uuid


async def get_rollouts(call: Call, query: RolloutQuery) -> Page[RolloutView]:
    """List rollouts, newest first."""
    secret, scope = call.parts.fleet.page_key, f"rollouts {query.state}"
    body = partial(
        list_rollouts,
        before=read_page_token(query.page_token, scope=scope, secret=secret) or NEWEST,
        size=query.page_size,
        state=RolloutState[query.state] if query.state else None,
        limit=call.limit,
    )
    views, more = await call.parts.store.read(body)
    last = parse_uuid(views[-1].job, what="a job") if more else b""
    return Page(views, page_token(last, scope=scope, secret=secret) if more else None)


async def get_rollout(call: Call, job: str) -> RolloutView:
    """Return one rollout: its stages, their counts, the arithmetic of their gates."""
    asked = uuid_in_path(job, "job")
    view = await call.parts.store.read(partial(view_rollout, asked, call.limit))
    if view is None:
        raise missing("rollout", job)
    return view


async def get_rollout_members(call: Call, job: str, query: MemberQuery) -> Page[MemberView]:
    """List the agents of a rollout, those included that were never released."""
    asked = uuid_in_path(job, "job")
    secret, scope = call.parts.fleet.page_key, f"rollout members {job}"
    after = read_page_token(query.page_token, scope=scope, secret=secret).decode()
    body = partial(list_members, asked, after=after, size=query.page_size, limit=call.limit)
    found = await call.parts.store.read(body)
    if found is None:
        raise missing("rollout", job)
    views, more = found
    token = page_token(views[-1].agent.encode(), scope=scope, secret=secret) if more else None
    return Page(views, token)


async def preview_rollout(call: Call, body: JobSubmission) -> RolloutPreview:
    """Tell what a job would do, stage by stage, without submitting it."""
    parts, now_ms = call.parts, call.parts.clock.wall_ms()
    job = draft_body(body, parts.documents.now.shelf.policy, now_ms)
    return await parts.store.read(partial(look, job, now_ms=now_ms, limit=call.limit))


async def pause_rollout(call: Call, job: str) -> Answer[RolloutView]:
    """Release nobody more, and sign for nobody what was released, until it is resumed."""
    return await _steer(call, job, "pause")


async def resume_rollout(call: Call, job: str) -> Answer[RolloutView]:
    """Go on; what failed until now does not stop it again, more failures do."""
    return await _steer(call, job, "resume")


async def advance_rollout(call: Call, job: str) -> Answer[RolloutView]:
    """Go on to the next stage, whatever the gate of the present one says."""
    return await _steer(call, job, "advance")


async def cancel_rollout(call: Call, job: str) -> Answer[RolloutView]:
    """Call the job off everywhere, as ``POST /v1/jobs/{job}/cancel`` does."""
    return await _steer(call, job, "cancel")


async def rollback_rollout(call: Call, job: str) -> Answer[RolloutView]:
    """Call the job off and undo it, by its compensation, where it had succeeded."""
    return await _steer(call, job, "rollback")


async def _steer(call: Call, job: str, verb: Verb) -> Answer[RolloutView]:
    parts, asked = call.parts, uuid_in_path(job, "job")
    bench = Bench(parts.clock.wall_ms(), parts.documents.now.shelf.policy)
    wish = Asked(verb, call.actor, call.limit)
    while True:
        try:
            done = await parts.store.run(partial(steer, asked, wish, bench), durable=True)
        except OvertakenError:
            continue
        except NotNowError as error:
            raise ProblemError(Kind.CONFLICT, str(error)) from None
        break
    if done is None:
        raise missing("rollout", job)
    parts.work.wake(done.agents)
    parts.jobs.wake([asked])
    return Answer(await get_rollout(call, job), 202, {"Retry-After": "1"})
