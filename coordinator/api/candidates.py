"""``/v1/candidates``: devices that gateways found and nobody attached."""

from functools import partial

from coordinator.api.agents import check_sight
from coordinator.api.context import Call
from coordinator.api.paging import page_token, read_page_token
from coordinator.api.problems import Kind, ProblemError
from coordinator.contract.candidates import CandidateQuery, CandidateView, IgnoreRequest
from coordinator.contract.common import Page
from coordinator.transactions.candidates import ignore, list_candidates


async def get_candidates(call: Call, query: CandidateQuery) -> Page[CandidateView]:
    """List candidates in the order of their agents and places."""
    parts, secret = call.parts, call.parts.fleet.page_key
    scope = f"candidates {query.agent} {query.ignored}"
    token = read_page_token(query.page_token, scope=scope, secret=secret).decode()
    agent, way, place = [*token.split(" ", 2), "", "", ""][:3]
    body = partial(
        list_candidates,
        query.agent,
        ignored=query.ignored,
        after=(agent, place, way),
        size=query.page_size,
        limit=call.limit,
    )
    views, more = await parts.store.read(body)
    last = f"{views[-1].agent} {views[-1].way} {views[-1].place}".encode() if views else b""
    following = page_token(last, scope=scope, secret=secret) if more else None
    return Page(views, following)


async def ignore_candidate(call: Call, agent: str, body: IgnoreRequest) -> Page[CandidateView]:
    """Hide the candidates at a place, or show them again."""
    await check_sight(call, agent)
    work = partial(
        ignore,
        agent,
        body.place,
        ignored=body.ignored,
        actor=call.actor,
        now_ms=call.parts.clock.wall_ms(),
    )
    found = await call.parts.store.run(work, durable=True)
    if not found:
        what = f"nothing was found at {body.place[:60]!r} of {agent}"
        raise ProblemError(Kind.NOT_FOUND, what, at="body.place")
    return Page(list(found), None)
