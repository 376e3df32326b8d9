"""``/v1/devices``: what attached devices are, as they said themselves."""

from functools import partial

from coordinator.api.agents import check_sight, seen_by
from coordinator.api.context import Call
from coordinator.api.paging import page_token, read_page_token
from coordinator.api.problems import Kind, ProblemError
from coordinator.contract.common import Page
from coordinator.contract.support import DeviceQuery, DeviceView
from coordinator.core.targeting import KNOWN
from coordinator.transactions.devices import list_devices, view_device
from shared.errors import MistakeError
from shared.model.selector import parse_selector


async def get_devices(call: Call, query: DeviceQuery) -> Page[DeviceView]:
    """List devices that said what they are, in the order of their agents."""
    parts, secret = call.parts, call.parts.fleet.page_key
    flags = f"{query.drifted} {query.silent}"
    scope = f"devices {query.agent} {flags} {query.selector} {query.device_selector}"
    wanted = parse_selector(query.device_selector, where="query.device_selector")
    for key in sorted(wanted.keys - KNOWN):
        what = f"{key!r} of devices is known to their gateways alone"
        mend = f"use {', '.join(sorted(KNOWN))}"
        raise MistakeError(what, where="query.device_selector", mend=mend)
    token = read_page_token(query.page_token, scope=scope, secret=secret).decode()
    agent, _, device = token.partition(" ")
    body = partial(
        list_devices,
        query.agent,
        drifted=query.drifted,
        silent=query.silent,
        after=(agent, device),
        size=query.page_size,
        limit=seen_by(call, query.selector),
        wanted=wanted,
    )
    views, more = await parts.store.read(body)
    last = f"{views[-1].agent} {views[-1].device}".encode() if views else b""
    following = page_token(last, scope=scope, secret=secret) if more else None
    return Page(views, following)


async def get_device(call: Call, agent: str, device: str) -> DeviceView:
    """Return one device of an agent, as it said itself."""
    await check_sight(call, agent)
    view = await call.parts.store.read(partial(view_device, agent, device))
    if view is None:
        what = (
            f"no device {device[:60]!r} of {agent} has said what it is; a job of device.sync asks"
        )
        raise ProblemError(Kind.NOT_FOUND, what, at="path.device")
    return view
