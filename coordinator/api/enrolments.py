"""``/v1/enrolments``, and how people steer an agent's membership: let in, rekey, decommission.

Owns what people decide. What the boxes themselves send comes in by `coordinator.api.sync`.
"""

from collections.abc import Callable
from functools import partial

from coordinator.api.agents import check_sight, get_agent
from coordinator.api.context import Call
from coordinator.api.paging import page_token, read_page_token
from coordinator.api.problems import Kind, ProblemError
from coordinator.api.router import Answer
from coordinator.contract.agents import (
    AgentView,
    ApproveRequest,
    EnrolmentQuery,
    EnrolmentView,
    RegisterRequest,
)
from coordinator.contract.common import Page
from coordinator.core.ports import Tx
from coordinator.transactions import membership
from coordinator.transactions.enrolments import (
    Vouched,
    approve,
    list_enrolments,
    register,
    reject,
)
from shared.ids import AgentId


async def register_agent(call: Call, body: RegisterRequest) -> Answer[EnrolmentView]:
    """Let a key in by its fingerprint, before its box has ever called or while it waits."""
    wish = Vouched(fingerprint=body.fingerprint, site=body.site, name=body.name)
    now_ms = call.parts.clock.wall_ms()
    made = await call.parts.store.run(
        partial(register, wish, actor=call.actor, now_ms=now_ms), durable=True
    )
    return Answer(made, 201)


async def get_enrolments(call: Call, query: EnrolmentQuery) -> Page[EnrolmentView]:
    """List keys that a person vouched for or has yet to, in the order of their numbers."""
    secret, scope = call.parts.fleet.page_key, f"enrolments {query.state}"
    after = read_page_token(query.page_token, scope=scope, secret=secret).decode()
    views, more = await call.parts.store.read(
        partial(list_enrolments, query.state, after=after, size=query.page_size)
    )
    token = page_token(views[-1].id.encode(), scope=scope, secret=secret) if more else None
    return Page(views, token)


async def approve_enrolment(call: Call, enrolment: str, body: ApproveRequest) -> EnrolmentView:
    """Accept a key that waits; its fingerprint, read from the box, must be the key's."""
    wish = Vouched(fingerprint=body.fingerprint, site=body.site, name=body.name)
    now_ms = call.parts.clock.wall_ms()
    return await call.parts.store.run(
        partial(approve, enrolment, wish, actor=call.actor, now_ms=now_ms), durable=True
    )


async def reject_enrolment(call: Call, enrolment: str) -> EnrolmentView:
    """Let a key not in, also when it asks again."""
    now_ms = call.parts.clock.wall_ms()
    return await call.parts.store.run(
        partial(reject, enrolment, actor=call.actor, now_ms=now_ms), durable=True
    )


async def rekey_agent(call: Call, agent: str) -> AgentView:
    """Ask an agent for another key with its next answers."""
    return await _wished(call, agent, membership.ask_for_rekey)


async def decommission_agent(call: Call, agent: str) -> AgentView:
    """Ask an agent to deliver what it has and to forget its key; its id stays taken."""
    return await _wished(call, agent, membership.decommission)


async def _wished(call: Call, agent: str, wish: Callable[..., Tx[bool]]) -> AgentView:
    await check_sight(call, agent, at="path.agent")
    body = partial(wish, agent, actor=call.actor, now_ms=call.parts.clock.wall_ms())
    if not await call.parts.store.run(body, durable=True):
        raise ProblemError(Kind.NOT_FOUND, f"no agent {agent!r}", at="path.agent")
    call.parts.work.wake([AgentId(agent)])
    return await get_agent(call, agent)
