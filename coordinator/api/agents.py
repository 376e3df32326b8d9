"""``/v1/agents``: who belongs to the fleet and how each of them is."""

from functools import partial

from msgspec.structs import replace

from coordinator.api.context import Call
from coordinator.api.paging import page_token, read_page_token
from coordinator.api.problems import Kind, ProblemError
from coordinator.contract.agents import AgentQuery, AgentView
from coordinator.contract.common import Page
from coordinator.transactions.agents import list_agents, view_agent
from coordinator.transactions.membership import release, revoke
from coordinator.transactions.sight import sees_agent
from shared.ids import AgentId
from shared.model.selector import Selector, parse_selector


async def get_agents(call: Call, query: AgentQuery) -> Page[AgentView]:
    """List agents in the order of their ids."""
    parts, secret = call.parts, call.parts.fleet.page_key
    selector = seen_by(call, query.selector)
    scope = f"agents {query.selector}"
    after = read_page_token(query.page_token, scope=scope, secret=secret).decode()
    body = partial(
        list_agents, selector, after=after, size=query.page_size, now_ms=parts.clock.wall_ms()
    )
    views, more = await parts.store.read(body)
    token = page_token(views[-1].id.encode(), scope=scope, secret=secret) if more else None
    return Page([_with_presence(call, view) for view in views], token)


def seen_by(call: Call, text: str) -> Selector | None:
    """Return which agents a query means, as far as the caller may see them; None: all of them.

    Raises:
        MistakeError: it is no selector.
    """
    selector = parse_selector(text, where="query.selector") if text else None
    if call.limit is None:
        return selector
    return call.limit if selector is None else selector.joined(call.limit)


async def get_agent(call: Call, agent: str) -> AgentView:
    """Return one agent."""
    body = partial(view_agent, agent, call.parts.clock.wall_ms())
    view = await call.parts.store.read(body)
    if view is None or not call.principal.sees(view.labels):
        raise ProblemError(Kind.NOT_FOUND, f"no agent {agent!r}", at="path.agent")
    return _with_presence(call, view)


async def revoke_agent(call: Call, agent: str) -> AgentView:
    """Let an agent in no more, from its next contact on; its id stays taken."""
    parts = call.parts
    await check_sight(call, agent, at="path.agent")
    body = partial(revoke, agent, actor=call.actor, now_ms=parts.clock.wall_ms())
    if not await parts.store.run(body, durable=True):
        raise ProblemError(Kind.NOT_FOUND, f"no agent {agent!r}", at="path.agent")
    parts.work.wake([AgentId(agent)])
    return await get_agent(call, agent)


async def release_agent(call: Call, agent: str) -> AgentView:
    """End an agent's quarantine, once a person knows which machine is the real one."""
    parts = call.parts
    await check_sight(call, agent, at="path.agent")
    body = partial(release, agent, actor=call.actor, now_ms=parts.clock.wall_ms())
    if not await parts.store.run(body, durable=True):
        raise ProblemError(Kind.NOT_FOUND, f"no agent {agent!r}", at="path.agent")
    parts.work.wake([AgentId(agent)])
    return await get_agent(call, agent)


async def check_sight(call: Call, agent: str, *, at: str = "path.agent") -> None:
    """Check that there is such an agent and that the caller may know of it.

    Raises:
        ProblemError: NOT_FOUND, the same for both.
    """
    if not await call.parts.store.read(partial(sees_agent, agent, call.limit)):
        raise ProblemError(Kind.NOT_FOUND, f"no agent {agent!r}", at=at)


def _with_presence(call: Call, view: AgentView) -> AgentView:
    """Add what only this process knows: whether a contact is held right now."""
    waiting = AgentId(view.id) in call.parts.work
    return replace(view, link=replace(view.link, waiting=waiting))
