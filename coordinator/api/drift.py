"""``/v1/drift`` and ``/v1/compliance``: devices beside what is wished of them."""

from functools import partial

from coordinator.api.agents import seen_by
from coordinator.api.context import Call
from coordinator.api.paging import page_token, read_page_token
from coordinator.contract.common import Page
from coordinator.contract.drift import Compliance, ComplianceQuery, DriftQuery, DriftView
from coordinator.transactions.wishes import Counting, count, lines_of, list_drift, read_some


async def get_drift(call: Call, query: DriftQuery) -> Page[DriftView]:
    """List devices that are not as wished, in the order of their agents."""
    secret = call.parts.fleet.page_key
    scope = f"drift {query.selector} {query.agent} {query.all}"
    token = read_page_token(query.page_token, scope=scope, secret=secret).decode()
    agent, device, wish = [*token.split(" ", 2), "", "", ""][:3]
    body = partial(
        list_drift,
        seen_by(call, query.selector),
        agent=query.agent,
        missed=not query.all,
        after=(agent, device, wish),
        size=query.page_size,
    )
    views, more = await call.parts.store.read(body)
    last = f"{views[-1].agent} {views[-1].device} {views[-1].wish}".encode() if views else b""
    following = page_token(last, scope=scope, secret=secret) if more else None
    return Page(views, following)


async def get_compliance(call: Call, query: ComplianceQuery) -> Compliance:
    """Count devices that are as wished and that are not, by group and desired state."""
    counting = Counting(seen_by(call, query.selector), query.by)
    found = await call.parts.store.read(partial(read_some, ""))
    while found.labels:
        # A page of agents at a time: nobody waits for the whole fleet to be read.
        count(counting, found)
        found = await call.parts.store.read(partial(read_some, counting.after))
    return Compliance(list(lines_of(counting.tallies)))
